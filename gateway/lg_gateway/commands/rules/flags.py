"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_POLICY, _PINS = "lg_gateway.commands.rules.policy:run", "lg_gateway.commands.rules.pins:run"


def _identity(parser: Parser) -> None:
    parser.add_argument("--identity", help="the caller, unless a case names one (default: you, on stdio)")


def _explain(parser: Parser) -> None:
    parser.add_argument("subject", metavar="TOOL", help="a tool, a prompt, or a resource as SERVER+URI")
    parser.add_argument("--args", default="{}", metavar="JSON", help="the call's arguments (default: {})")
    _identity(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _test(parser: Parser) -> None:
    parser.add_argument("subject", metavar="FILE", help="a TOML file of expected decisions")
    _identity(parser)


def _chosen(parser: Parser) -> None:
    parser.add_argument("server", nargs="?", metavar="SERVER", help="only this server")
    parser.add_argument("tool", nargs="?", metavar="TOOL", help="only this tool, by the name that the server uses")


def _pins_list(parser: Parser) -> None:
    _chosen(parser)
    parser.add_argument("--json", action="store_true", help="print what is accepted, as a file for gateway.pins_file")


COMMANDS = (
    Command(
        name="policy",
        help="say how calls would be decided, and why; calls nothing",
        actions=(
            Command(
                name="explain",
                help="say how one call would be decided, and by which rule",
                run=_POLICY,
                flags=_explain,
                example="""policy explain fs__apply_patch --args '{"patch": "…"}'""",
                starts_servers=True,
            ),
            Command(
                name="test",
                help="check a file of expected decisions",
                run=_POLICY,
                flags=_test,
                example="policy test cases.toml",
                starts_servers=True,
            ),
        ),
    ),
    Command(
        name="pins",
        help="see and accept tool definitions of third-party servers",
        default="list",
        actions=(
            Command(
                name="list",
                help="list the definitions, and which are accepted",
                run=_PINS,
                flags=_pins_list,
                example="pins list github",
            ),
            Command(
                name="diff",
                help="show what changed in definitions that wait for you",
                run=_PINS,
                flags=_chosen,
                example="pins diff github",
            ),
            Command(
                name="accept",
                help="accept the definitions of a server, or one tool's",
                run=_PINS,
                flags=_chosen,
                example="pins accept github",
            ),
        ),
    ),
)
