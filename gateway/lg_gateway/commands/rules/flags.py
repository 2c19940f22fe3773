"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_RULES = "lg_gateway.commands.rules.kept:run"
RULES = (
    "Only your own settings file is changed, and only after you have seen the rule at a terminal. Without --root,"
    " --config, --mcp-json or --state-dir it counts what all gateways of this user decided."
)
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


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add(parser: Parser) -> None:
    parser.add_argument(
        "tool", nargs="?", metavar="TOOL", help="a tool, as SERVER__TOOL; `*` for any run of characters"
    )
    parser.add_argument("--resource", metavar="URI", help="a resource, as SERVER+URI, instead of a tool")
    parser.add_argument("--prompt", metavar="NAME", help="a prompt, as SERVER__PROMPT, instead of a tool")
    parser.add_argument("--from", dest="source", metavar="ID", help="keep the answer to this question")
    parser.add_argument(
        "--kind", choices=("tool", "exact", "pattern", "reads"), help="with --from: which of the rules that it offered"
    )
    parser.add_argument("--args", metavar="JSON", help="only with exactly these arguments")
    parser.add_argument("--when", metavar="SCHEMA", help="only with arguments that fit this JSON Schema")
    parser.add_argument("--identity", help="only for this caller (default: every caller)")
    parser.add_argument("--effect", choices=("allow", "approve", "deny"), default="allow", help="default: allow")
    parser.add_argument("--reason", default="", help="shown with the decision")


def _remove(parser: Parser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="its number or its name, as `rules list` shows them")


def _suggest(parser: Parser) -> None:
    parser.add_argument("--add", type=int, metavar="N", help="write the proposal with this number")
    _json(parser)


COMMANDS = (
    Command(
        name="rules",
        help="see, add and take back rules, and have some proposed from your answers",
        description=RULES,
        default="list",
        actions=(
            Command(
                name="list",
                help="list all rules: where each is written, and how often it decided",
                run=_RULES,
                flags=_json,
                example="rules list",
            ),
            Command(
                name="add",
                help="add a rule to your settings",
                run=_RULES,
                flags=_add,
                example="rules add github__search_code",
            ),
            Command(
                name="remove",
                help="take a rule out of your settings",
                run=_RULES,
                flags=_remove,
                example="rules remove 3",
            ),
            Command(
                name="suggest",
                help="propose rules for questions that always got a yes",
                run=_RULES,
                flags=_suggest,
                example="rules suggest --add 1",
            ),
        ),
    ),
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
