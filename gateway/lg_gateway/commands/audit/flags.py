"""The actions of `lg-gateway audit` and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_RUN = "lg_gateway.commands.audit.reading:run"
DESCRIPTION = (
    "Read, check and keep the ledger, the tamper-evident record of every call. No action starts a server."
    " Times may be 2026-11-01, 2026-11-01T09:30 (UTC), or an age such as 24h or 30d."
)


def _filters(parser: Parser) -> None:
    parser.add_argument("--identity", help="only calls of this caller; * matches any characters")
    parser.add_argument("--tool", help="only calls of this tool; * matches any characters")
    parser.add_argument(
        "--outcome", help="only calls with this outcome: ok, error, refused, asked, cancelled, unknown, …"
    )
    parser.add_argument("--run", help="only calls of this run")
    parser.add_argument("--since", metavar="TIME", help="only from this time on; 24h is a day ago")
    parser.add_argument("--until", "--before", metavar="TIME", help="only before this time")


def _list(parser: Parser) -> None:
    _tail(parser)
    parser.add_argument("--records", action="store_true", help="list every record of the chain, not one row a call")


def _tail(parser: Parser) -> None:
    _filters(parser)
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="list the newest N (default: 50)")
    parser.add_argument("--json", action="store_true", help="print one record a line, as JSON")


def _show(parser: Parser) -> None:
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="the number of a record, or the id of a call or of a question"
    )
    parser.add_argument("--result", action="store_true", help="show the result of the call, as long as it is kept")
    parser.add_argument("--json", action="store_true", help="print the records as JSON")


def _verify(parser: Parser) -> None:
    parser.add_argument(
        "--since", metavar="LINE", help="check only what came after this line, which `audit head` printed"
    )
    parser.add_argument("--export", metavar="FILE", help="check this export instead of the store")
    parser.add_argument("--head", metavar="LINE", help="with --export: a line that `audit head` printed earlier")
    parser.add_argument("--public-key", metavar="BASE64", help="with --export: the public key of such a line")


def _before(parser: Parser) -> None:
    parser.add_argument("--before", metavar="TIME", help="only what is older than this: 90d, or 2026-01-01")


def _restart(parser: Parser) -> None:
    parser.add_argument("--reason", metavar="TEXT", help="why signed records are gone; the ledger records it")


COMMANDS = (
    Command(
        name="audit",
        help="read, check and keep the ledger",
        description=DESCRIPTION,
        default="list",
        actions=(
            Command(name="list", help="list the newest calls", run=_RUN, flags=_list, example="audit list --since 24h"),
            Command(
                name="show", help="show all about one call or question", run=_RUN, flags=_show, example="audit show 105"
            ),
            Command(
                name="tail",
                help="list the newest records, then print new ones as they come",
                run=_RUN,
                flags=_tail,
                example="audit tail --outcome refused",
            ),
            Command(
                name="verify",
                help="check that nothing was changed or removed",
                run=_RUN,
                flags=_verify,
                example="audit verify",
            ),
            Command(
                name="export",
                help="print the whole chain as JSON lines, or some records with a filter",
                run=_RUN,
                flags=_filters,
                example="audit export > ledger.jsonl",
            ),
            Command(
                name="head", help="print a line to keep on another machine", run=_RUN, example="audit head >> heads.txt"
            ),
            Command(
                name="seal",
                help="move old records into signed segment files",
                run=_RUN,
                flags=_before,
                example="audit seal --before 90d",
            ),
            Command(
                name="prune",
                help="remove old segment files",
                run=_RUN,
                flags=_before,
                example="audit prune --before 2026-01-01",
            ),
            Command(
                name="restart",
                help="continue after the store was lost",
                run=_RUN,
                flags=_restart,
                example='audit restart --reason "the disk was lost"',
            ),
        ),
    ),
)
