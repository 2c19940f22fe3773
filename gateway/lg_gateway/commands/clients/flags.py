"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_SECRETS = "lg_gateway.commands.clients.secrets:run"
INSTALL = (
    "CLIENT is one of claude-desktop, claude-code, cursor, vscode, cline, roo, kiro, zed, windsurf, continue,"
    " gemini-cli, codex, goose, opencode, amazon-q, copilot-cli, lmstudio, junie. The file is found and kept as it was."
    " It is changed in one place; comments and order stay. Installing again changes nothing."
)
INIT = (
    "Shows what it finds and what it would change, then asks. The servers that a client has move into your settings,"
    " behind the gateway; rules and sandboxes are proposed, none is written. `install CLIENT --remove` takes it back."
    " Without a terminal and without --yes nothing is changed."
)
IMPORT = (
    "Shows each server, what is left out and why, and the rules that the client had; then writes [gateway.servers.NAME]"
    " tables into your settings file. The client's file is not changed."
)


def _plain_secrets(parser: Parser) -> None:
    parser.add_argument(
        "--plain-secrets",
        action="store_true",
        help="leave tokens in plain text in the settings; without it they go into the keyring or an encrypted file",
    )


def _import(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the file of Claude Desktop, Cursor, VS Code, …")
    parser.add_argument(
        "--from", dest="source", metavar="CLIENT", help="the client that wrote it, where path and content do not tell"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--replace", action="store_true", help="also replace servers of the same name")
    parser.add_argument("--sandbox", action="store_true", help="have each stdio server start in the sandbox proposed")
    _plain_secrets(parser)
    parser.add_argument("--yes", action="store_true", help="write without asking on the terminal")


def _add(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="what its tools are called after: NAME__TOOL")
    parser.add_argument("--url", metavar="URL", help="a server over HTTP, in place of a command")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for it; NAME alone is passed on"
    )
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="a header for it")
    parser.add_argument("--sandbox", action="store_true", help="have it start in the sandbox that is proposed")
    parser.add_argument("--replace", action="store_true", help="also replace a server of this name")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    _plain_secrets(parser)
    parser.add_argument("--yes", action="store_true", help="write without asking on the terminal")
    parser.add_argument(
        "command_line", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="its program and arguments"
    )


def _install(parser: Parser) -> None:
    parser.add_argument("client", metavar="CLIENT", help="claude-desktop, claude-code, cursor, vscode, codex, …")
    parser.add_argument("--print", action="store_true", help="only print the text to paste into the client's file")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--yes", action="store_true", help="move servers without asking on the terminal")
    parser.add_argument("--remove", action="store_true", help="take it out again, and put back what was moved")
    parser.add_argument(
        "--move", action="store_true", help="also take the servers that the client has already behind the gateway"
    )
    _plain_secrets(parser)
    parser.add_argument("--project", action="store_true", help="into the file in the project, not into the user's")
    parser.add_argument(
        "--servers",
        default="gateway",
        metavar="NAMES",
        help="gateway (the default), or some of fs, exec and code: fs,exec",
    )


def _name(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="as in ${secret:NAME}")


def _init(parser: Parser) -> None:
    parser.add_argument("--clients", default="", metavar="NAMES", help="only these, for instance cursor,vscode")
    _plain_secrets(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--yes", action="store_true", help="change without asking on the terminal")


COMMANDS = (
    Command(
        name="init",
        help="find your clients and their servers, put the gateway between them, and try a call",
        description=INIT,
        run="lg_gateway.commands.clients.init:run",
        flags=_init,
        example="init --root .",
    ),
    Command(
        name="add",
        help="put one more server behind the gateway",
        description="Shows the server and a sandbox for it, then writes its table into your settings file.",
        run="lg_gateway.commands.clients.add:run",
        flags=_add,
        example="add time --sandbox -- uvx mcp-server-time",
    ),
    Command(
        name="import",
        help="take over the servers of a client's file into your settings",
        description=IMPORT,
        run="lg_gateway.commands.clients.import_file:run",
        flags=_import,
        example="import ~/.cursor/mcp.json --dry-run",
    ),
    Command(
        name="install",
        help="put the gateway into a client's file",
        description=INSTALL,
        run="lg_gateway.commands.clients.install:run",
        flags=_install,
        example="install cursor --root .",
    ),
    Command(
        name="secrets",
        help="keep what servers need and no file should hold: tokens, passwords",
        actions=(
            Command(
                name="set", help="keep a secret; asks for it", run=_SECRETS, flags=_name, example="secrets set GITHUB"
            ),
            Command(name="list", help="list the names of secrets", run=_SECRETS, example="secrets list"),
            Command(name="remove", help="remove a secret", run=_SECRETS, flags=_name, example="secrets remove GITHUB"),
        ),
    ),
)
