"""The actions of `lg-gateway approvals` and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_RUN = "lg_gateway.commands.approvals.actions:run"
DESCRIPTION = (
    "Answer the questions of callers that wait. Without --root, --config, --mcp-json or --state-dir it looks at all"
    " gateways of this user. Only a person at a terminal can approve, or who holds an operator's token"
    " (LG_OPERATOR_TOKEN)."
)


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _list(parser: Parser) -> None:
    parser.add_argument("--all", action="store_true", help="also questions that were answered or have expired")
    _json(parser)


def _question(parser: Parser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the question, as `approvals list` names it")


def _show(parser: Parser) -> None:
    _question(parser)
    _json(parser)


def _approve(parser: Parser) -> None:
    _question(parser)
    parser.add_argument("--for-run", action="store_true", help="approve this tool for the rest of the run")
    parser.add_argument(
        "--always",
        choices=("tool", "exact", "pattern", "reads"),
        help="also write a rule, so that you are not asked again: for the tool, exactly these arguments, the pattern"
        " that `approvals watch` shows, or all tools of the server that say they only read",
    )


def _deny(parser: Parser) -> None:
    _question(parser)
    parser.add_argument("--reason", default="", help="why; the caller reads it")


def _grants(parser: Parser) -> None:
    parser.add_argument("--all", action="store_true", help="also grants that have expired or were revoked")
    _json(parser)


def _revoke(parser: Parser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the grant, as `approvals grants` names it")


COMMANDS = (
    Command(
        name="approvals",
        help="list and answer pending approvals",
        description=DESCRIPTION,
        default="list",
        actions=(
            Command(
                name="list", help="list the questions that wait", run=_RUN, flags=_list, example="approvals list --all"
            ),
            Command(
                name="show",
                help="show one question as a person is asked it",
                run=_RUN,
                flags=_show,
                example="approvals show ap-rfrbpkubiu",
            ),
            Command(
                name="watch",
                help="show each question as it comes, and take a key",
                run=_RUN,
                example="approvals watch",
            ),
            Command(
                name="approve",
                help="approve one question",
                run=_RUN,
                flags=_approve,
                example="approvals approve ap-rfrbpkubiu",
            ),
            Command(
                name="deny",
                help="deny one question",
                run=_RUN,
                flags=_deny,
                example='approvals deny ap-rfrbpkubiu --reason "not this file"',
            ),
            Command(
                name="grants",
                help="list the tools that are approved for a run",
                run=_RUN,
                flags=_grants,
                example="approvals grants",
            ),
            Command(name="revoke", help="end a grant", run=_RUN, flags=_revoke, example="approvals revoke gr-4kqzsv2y"),
        ),
    ),
)
