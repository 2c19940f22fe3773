"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser


def _json(parser: Parser, text: str = "print everything as one JSON object") -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _tools(parser: Parser) -> None:
    _json(parser, "print the full definitions as one JSON object")


def _call(parser: Parser) -> None:
    parser.add_argument("tool", metavar="TOOL", help="as `lg-gateway tools` names it: SERVER__TOOL")
    parser.add_argument(
        "arguments",
        nargs="?",
        default="{}",
        metavar="JSON",
        help="the arguments (default: {}); - reads them from standard input",
    )
    _json(parser, "print the whole result as JSON")


def _resources(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="ADDRESS", help="read this one, as SERVER+URI, and print it")
    _json(parser)


def _prompts(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="PROMPT", help="get this one, and print its messages")
    parser.add_argument("arguments", nargs="?", default="{}", metavar="JSON", help="its arguments (default: {})")
    _json(parser)


COMMANDS = (
    Command(
        name="tools",
        help="list the tools that a client sees",
        run="lg_gateway.commands.calls.tools:run",
        flags=_tools,
        example="tools --root .",
        starts_servers=True,
    ),
    Command(
        name="call",
        help="call one tool and print its answer",
        run="lg_gateway.commands.calls.call:run",
        flags=_call,
        example="""call fs__read_file '{"path": "README.md"}'""",
        starts_servers=True,
    ),
    Command(
        name="resources",
        help="list the resources that a client sees, or read one",
        run="lg_gateway.commands.calls.tools:run",
        flags=_resources,
        example="resources docs+file:///guide.md",
        starts_servers=True,
    ),
    Command(
        name="prompts",
        help="list the prompts that a client sees, or get one",
        run="lg_gateway.commands.calls.tools:run",
        flags=_prompts,
        example="""prompts docs__review '{"file": "README.md"}'""",
        starts_servers=True,
    ),
)
