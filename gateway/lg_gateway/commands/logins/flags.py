"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

LOGIN = (
    "Opens the page at which you log in, waits for the response, and keeps the tokens in the system's keyring, or"
    " encrypted in the key directory. A gateway that runs uses them at once. Without SERVER: lists the logins."
)


def _identity(parser: Parser) -> None:
    parser.add_argument(
        "--identity", metavar="NAME", help="whose login, where each caller has one of its own (default: you, on stdio)"
    )


def _login(parser: Parser) -> None:
    parser.add_argument("server", nargs="?", metavar="SERVER", help="a server of the settings with a url")
    _identity(parser)
    parser.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    parser.add_argument(
        "--paste", action="store_true", help="your browser is on another machine: paste the address where it ends"
    )
    parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="ask for it too; may be repeated")
    parser.add_argument("--wait", type=float, default=300, metavar="S", help="how many seconds you have (default: 300)")


def _logout(parser: Parser) -> None:
    parser.add_argument("server", metavar="SERVER", help="a server of the settings with a url")
    _identity(parser)


COMMANDS = (
    Command(
        name="login",
        help="log in at a server that wants a login, or list your logins",
        description=LOGIN,
        run="lg_gateway.commands.logins.login:run",
        flags=_login,
        example="login notes",
    ),
    Command(
        name="logout",
        help="forget a login at a server, and tell its authorization server",
        run="lg_gateway.commands.logins.logout:run",
        flags=_logout,
        example="logout notes",
    ),
)
