"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_TOKENS = "lg_gateway.commands.identity.tokens:run"


def _create(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the caller")
    parser.add_argument(
        "--role",
        choices=("client", "operator"),
        default="client",
        help="client calls tools, operator answers questions (default: client)",
    )
    parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="a scope; may be repeated")
    parser.add_argument("--days", type=float, default=90, metavar="N", help="how many days it is valid (default: 90)")


def _list(parser: Parser) -> None:
    parser.add_argument("--all", action="store_true", help="also revoked and expired tokens")
    parser.add_argument("--json", action="store_true", help="print one token a line, as JSON")


def _revoke(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a caller, or the id of a token")


COMMANDS = (
    Command(
        name="tokens",
        help="make, list and revoke the tokens of callers over HTTP",
        default="list",
        actions=(
            Command(
                name="create",
                help="make a token and print it once",
                run=_TOKENS,
                flags=_create,
                example="tokens create ada --scope files",
            ),
            Command(name="list", help="list the tokens that count", run=_TOKENS, flags=_list, example="tokens list"),
            Command(name="revoke", help="end a token", run=_TOKENS, flags=_revoke, example="tokens revoke ada"),
        ),
    ),
)
