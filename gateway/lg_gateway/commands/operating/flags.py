"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_CONFIG = "lg_gateway.commands.operating.settings:run"


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _show(parser: Parser) -> None:
    parser.add_argument("table", nargs="?", metavar="TABLE", help="only this table or setting, such as gateway.http")
    parser.add_argument("--changed", action="store_true", help="only what differs from the built-in defaults")
    _json(parser)


COMMANDS = (
    Command(
        name="status",
        help="show the gateways that run: their servers, calls, latencies and errors",
        run="lg_gateway.commands.operating.status:run",
        flags=_json,
        example="status",
        description=(
            "Show the gateways that run, those that clients started too. Without --root, --config, --mcp-json or"
            " --state-dir it looks at all of yours. The exit status is 1 if something is down or no gateway runs."
        ),
    ),
    Command(
        name="config",
        help="show the settings in force and where each comes from",
        default="show",
        actions=(
            Command(
                name="show",
                help="print every setting with its value and its origin; secrets are left out",
                run=_CONFIG,
                flags=_show,
                example="config show gateway.http",
            ),
            Command(
                name="check",
                help="read the settings and say what is wrong with them",
                run=_CONFIG,
                example="config check --config gateway.toml",
            ),
            Command(
                name="path",
                help="print the files that settings are read from, the last one winning",
                run=_CONFIG,
                flags=_json,
                example="config path",
            ),
        ),
    ),
)
