"""`lg-gateway`: one place for all tools. Only light modules are imported here; commands import the rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lg_policy.config.flags import add_common_flags, add_serve_flags
from lg_policy.errors import ConfigError
from lg_policy.printing import exit_text, visible
from lg_policy.wire.standard_streams import flush_output

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

DESCRIPTION = (
    "Serve the tools of many MCP servers as one server. Every call is checked against your policy and recorded in a"
    " tamper-evident ledger."
)
COMMANDS = (
    "serve",
    "tools",
    "call",
    "resources",
    "prompts",
    "audit",
    "approvals",
    "pins",
    "policy",
    "tokens",
    "import",
    "install",
    "secrets",
    "doctor",
)
MODULES = {"import": "import_file", "resources": "tools", "prompts": "tools"}
"""Where the module of a command has another name than the command."""
INSTALL = (
    "CLIENT is one of claude-desktop, claude-code, cursor, vscode, cline, roo, kiro, zed, windsurf, continue,"
    " gemini-cli, codex, goose, opencode, amazon-q, copilot-cli, lmstudio, junie. The file is found and kept as it was."
    " It is changed in one place; comments and order stay. Installing again changes nothing."
)
IMPORT = (
    "Shows each server, what is left out and why, and the rules that the client had; then writes [gateway.servers.NAME]"
    " tables into your settings file. The client's file is not changed."
)
STARTS_SERVERS = frozenset({"serve", "tools", "call", "resources", "prompts", "policy", "doctor"})
"""Commands that start servers, which may fork for it: before they read any setting."""
LISTS = "what to do (default: list)"
APPROVALS = (
    "Answer the questions of callers that wait. watch: show each question as it comes, and take a key. list, then"
    " approve ID or deny ID: answer later. Without --root, --config, --mcp-json or --state-dir it looks at all gateways"
    " of this user. Only a person at a terminal can approve, or who holds an operator's token (LG_OPERATOR_TOKEN)."
)
AUDIT = (
    "list, show, tail: read records. export: print the whole chain as JSON lines, or some records with a filter."
    " verify: check the store, or an export. head: print a line to keep on another machine. seal: move old records"
    " into signed segment files. prune: remove old segment files. restart: continue after the store was lost."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 the call or check failed, 2 wrong usage or settings."""
    parser, given = build_parser(), list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(_command_first(parser, given))
    if argv is None and args.command in STARTS_SERVERS:
        from lg_policy.prefork.start import prepare

        workers = min(max(1, getattr(args, "workers", 1)), 64)
        prepare("lg_gateway", (0, 0) if workers == 1 else (2,) * workers)
    try:
        return _run(args)
    except ConfigError as error:
        print(f"lg-gateway: {exit_text(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1  # the reader of standard output has left
    except KeyboardInterrupt:
        return 130
    finally:
        flush_output()


class _Parser(argparse.ArgumentParser):
    """Prints what was typed wrong without the escape sequences in it."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(visible(message, keep="\n"), file)


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = _Parser(prog="lg-gateway", description=DESCRIPTION, epilog="Without a command: serve.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve clients over stdio or HTTP (the default)")
    add_serve_flags(serve)
    serve.add_argument(
        "--no-login",
        action="store_true",
        help="over HTTP, let every program on this machine call as you, without a token",
    )
    serve.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="with --transport http: serve with N processes, so that more than one core is used (default: 1)",
    )
    tools = commands.add_parser("tools", help="list the tools that a client sees")
    tools.add_argument("--json", action="store_true", help="print the full definitions as one JSON object")
    call = commands.add_parser("call", help="call one tool and print its answer")
    call.add_argument("tool", metavar="TOOL")
    call.add_argument(
        "arguments",
        nargs="?",
        default="{}",
        metavar="JSON",
        help="the arguments (default: {}); - reads them from standard input",
    )
    call.add_argument("--json", action="store_true", help="print the whole result as JSON")
    _add_offers(commands)
    _add_audit(commands)
    _add_approvals(commands)
    _add_pins(commands)
    _add_policy(commands)
    _add_tokens(commands)
    _add_clients(commands)
    commands.add_parser("doctor", help="check settings, servers, rules, logins and the ledger")
    for command in commands.choices.values():
        _add_shared(command)
    return parser


def _add_offers(commands: _Commands) -> None:
    resources = commands.add_parser("resources", help="list the resources that a client sees, or read one")
    resources.add_argument("name", nargs="?", metavar="ADDRESS", help="read this one, as SERVER+URI, and print it")
    prompts = commands.add_parser("prompts", help="list the prompts that a client sees, or get one")
    prompts.add_argument("name", nargs="?", metavar="PROMPT", help="get this one, and print its messages")
    prompts.add_argument("arguments", nargs="?", default="{}", metavar="JSON", help="its arguments (default: {})")
    for command in (resources, prompts):
        command.add_argument("--json", action="store_true", help="print everything as one JSON object")


def _add_audit(commands: _Commands) -> None:
    audit = commands.add_parser("audit", help="read, check and keep the ledger", description=AUDIT)
    actions = ("list", "show", "tail", "verify", "export", "head", "seal", "prune", "restart")
    audit.add_argument("action", nargs="?", choices=actions, default="list", help=LISTS)
    audit.add_argument(
        "id", nargs="?", metavar="ID", help="for show: the number of a record, or the id of a call or a question"
    )
    audit.add_argument("--identity", help="only calls of this caller; * matches any characters")
    audit.add_argument("--tool", help="only calls of this tool; * matches any characters")
    audit.add_argument(
        "--outcome", help="only calls with this outcome: ok, error, refused, asked, cancelled, unknown, …"
    )
    audit.add_argument("--run", help="only calls of this run")
    audit.add_argument(
        "--since",
        metavar="TIME",
        help="only from this time on: 2026-11-01, 2026-11-01T09:30 (UTC), or 24h for a day ago; for verify: a line that"
        " `audit head` printed, to check only what came after it",
    )
    audit.add_argument("--until", metavar="TIME", help="only before this time")
    audit.add_argument("--limit", type=int, default=50, metavar="N", help="list the newest N records (default: 50)")
    audit.add_argument("--json", action="store_true", help="print one record a line, as JSON")
    audit.add_argument("--result", action="store_true", help="for show: the result of the call, as long as it is kept")
    audit.add_argument("--export", metavar="FILE", help="for verify: check this export instead of the store")
    audit.add_argument("--head", metavar="LINE", help="for verify --export: a line that `audit head` printed earlier")
    audit.add_argument("--public-key", metavar="BASE64", help="for verify --export: the public key of such a line")
    audit.add_argument("--before", metavar="TIME", help="for seal and prune: only what is older than this")
    audit.add_argument(
        "--reason", metavar="TEXT", help="for restart: why signed records are gone; the ledger records it"
    )


def _add_approvals(commands: _Commands) -> None:
    approvals = commands.add_parser("approvals", help="list and answer pending approvals", description=APPROVALS)
    actions = ("list", "show", "watch", "approve", "deny", "grants", "revoke")
    approvals.add_argument("action", nargs="?", choices=actions, default="list", help=LISTS)
    approvals.add_argument(
        "id", nargs="?", metavar="ID", help="for show, approve and deny: a question; for revoke: a grant"
    )
    approvals.add_argument(
        "--all", action="store_true", help="for list and grants: also those that were answered, expired or revoked"
    )
    approvals.add_argument(
        "--for-run", action="store_true", help="for approve: approve this tool for the rest of the run"
    )
    approvals.add_argument("--reason", default="", help="for deny: why; the caller reads it")
    approvals.add_argument("--json", action="store_true", help="for list, show and grants: print JSON")


def _add_pins(commands: _Commands) -> None:
    pins = commands.add_parser("pins", help="see and accept tool definitions of third-party servers")
    pins.add_argument("action", nargs="?", choices=("list", "diff", "accept"), default="list", help=LISTS)
    pins.add_argument("server", nargs="?", metavar="SERVER", help="only this server")
    pins.add_argument("tool", nargs="?", metavar="TOOL", help="only this tool, by the name that the server uses")
    pins.add_argument(
        "--json", action="store_true", help="for list: print what is accepted, as a file for gateway.pins_file"
    )


def _add_policy(commands: _Commands) -> None:
    policy = commands.add_parser("policy", help="say how calls would be decided, and why; calls nothing")
    policy.add_argument("action", choices=("explain", "test"))
    policy.add_argument(
        "subject",
        metavar="TOOL|FILE",
        help="for explain: a tool, a prompt, or a resource as SERVER+URI; for test: a TOML file of expected decisions",
    )
    policy.add_argument("--args", default="{}", metavar="JSON", help="for explain: the call's arguments")
    policy.add_argument("--identity", help="the caller, unless a case names one (default: you, on stdio)")
    policy.add_argument("--json", action="store_true", help="for explain: print JSON")


def _add_tokens(commands: _Commands) -> None:
    tokens = commands.add_parser("tokens", help="make, list and revoke the tokens of callers over HTTP")
    tokens.add_argument("action", nargs="?", choices=("create", "list", "revoke"), default="list", help=LISTS)
    tokens.add_argument("name", nargs="?", metavar="NAME", help="for create: the caller; for revoke: a caller or an id")
    tokens.add_argument(
        "--role", choices=("client", "operator"), default="client",
        help="for create: client calls tools, operator answers questions (default: client)",
    )  # fmt: skip
    tokens.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="for create: a scope; may be repeated"
    )
    tokens.add_argument(
        "--days", type=float, default=90, metavar="N", help="for create: how many days it is valid (default: 90)"
    )
    tokens.add_argument("--all", action="store_true", help="for list: also revoked and expired tokens")
    tokens.add_argument("--json", action="store_true", help="for list: print one token a line, as JSON")


def _add_clients(commands: _Commands) -> None:
    taken = commands.add_parser(
        "import", help="take over the servers of a client's file into your settings", description=IMPORT
    )
    taken.add_argument("file", type=Path, metavar="FILE", help="the file of Claude Desktop, Cursor, VS Code, …")
    taken.add_argument(
        "--from", dest="source", metavar="CLIENT", help="the client that wrote it, where path and content do not tell"
    )
    taken.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    taken.add_argument("--replace", action="store_true", help="also replace servers of the same name")
    taken.add_argument("--yes", action="store_true", help="write without asking on the terminal")
    install = commands.add_parser("install", help="put the gateway into a client's file", description=INSTALL)
    install.add_argument("client", metavar="CLIENT", help="claude-desktop, claude-code, cursor, vscode, codex, …")
    install.add_argument("--print", action="store_true", help="only print the text to paste into the client's file")
    install.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    install.add_argument("--yes", action="store_true", help="move servers without asking on the terminal")
    install.add_argument("--remove", action="store_true", help="take it out again, and put back what was moved")
    install.add_argument(
        "--move", action="store_true", help="also take the servers that the client has already behind the gateway"
    )
    install.add_argument("--project", action="store_true", help="into the file in the project, not into the user's")
    install.add_argument(
        "--servers", default="gateway", metavar="NAMES", help="gateway (the default), or fs, exec, or both: fs,exec"
    )
    secrets = commands.add_parser("secrets", help="keep what servers need and no file should hold: tokens, passwords")
    secrets.add_argument("action", choices=("set", "list", "remove"))
    secrets.add_argument("name", nargs="?", metavar="NAME", help="as in ${secret:NAME}")


def _add_shared(parser: argparse.ArgumentParser) -> None:
    add_common_flags(parser)
    parser.add_argument("--mcp-json", type=Path, metavar="FILE", help="also serve the servers of an mcpServers file")


def _version() -> str:
    from lg_policy.version import __version__

    return f"lg-gateway {__version__}"


def _command_first(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """Put the command before the options that precede it. Without a command and without `--help` it is `serve`."""
    if argv and argv[0] in ("-h", "--help", "--version"):
        return argv
    serve = next(choice for action in parser._actions if isinstance(action, argparse._SubParsersAction)
                 for name, choice in action.choices.items() if name == "serve")  # fmt: skip
    valued = {flag for action in serve._actions if action.nargs is None for flag in action.option_strings}
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        index += 2 if argv[index] in valued else 1
    if index < len(argv) and argv[index] in COMMANDS:
        return [argv[index], *argv[index + 1 :], *argv[:index]]
    return ["serve", *argv]


def _run(args: argparse.Namespace) -> int:
    """Run the command: `lg_gateway.commands` has one module of that name, with a function `run`."""
    module = import_module(f"lg_gateway.commands.{MODULES.get(args.command, args.command)}")
    status: int = module.run(args)
    return status
