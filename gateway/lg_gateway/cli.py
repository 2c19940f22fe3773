"""`lg-gateway`: one place for all tools. Only light modules are imported here; commands import the rest.

A command is declared in the `flags` module of its folder below `commands`, which is listed here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import lg_gateway.commands.approvals.flags as approvals
import lg_gateway.commands.audit.flags as audit
import lg_gateway.commands.calls.flags as calls
import lg_gateway.commands.clients.flags as clients
import lg_gateway.commands.confining.flags as confining
import lg_gateway.commands.halting.flags as halting
import lg_gateway.commands.identity.flags as identity
import lg_gateway.commands.logins.flags as logins
import lg_gateway.commands.operating.flags as operating
import lg_gateway.commands.rules.flags as rules
import lg_gateway.commands.serving.flags as serving
from lg_policy.builtin_servers import BUILTINS
from lg_policy.command_line.commands import CommandSet
from lg_policy.command_line.completion import completion_command
from lg_policy.command_line.reading import read_command_line, tell_actions
from lg_policy.config.flags import add_common_flags, typed_alone
from lg_policy.errors import ConfigError
from lg_policy.printing import exit_text, system_error_text
from lg_policy.version import __version__
from lg_policy.wire.standard_streams import fill_closed_streams, flush_output

DESCRIPTION = (
    "Serve the tools of many MCP servers as one server. Every call is checked against your policy and recorded in a"
    " tamper-evident ledger."
)
EPILOG = "Without a command: serve. `lg-gateway COMMAND --help` shows the options of a command and an example."

WELCOME = """\
lg-gateway puts your tools behind one MCP server: it checks every call against
your policy, asks you where a person must decide, and records it. An MCP client
starts it; at a terminal you look at it and answer its questions.

  lg-gateway init                      put it into the clients that you have
  lg-gateway install CLIENT            put it into one, such as claude-code
  lg-gateway tools                     what a client of this directory sees
  lg-gateway call fs__list_files       call a tool as a client does
  lg-gateway approvals watch           answer questions of callers that wait
  lg-gateway audit                     the newest calls, and how they ended
  lg-gateway doctor                    check settings, servers and the ledger
  lg-gateway status                    the gateways that run, and their servers
  lg-gateway halt                      stop all calls at once
  lg-gateway serve --transport http    serve clients over HTTP

`lg-gateway --help` lists all commands. `lg-gateway serve` serves MCP here."""
"""What a person sees who types the bare name: at a terminal no client can speak to it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 the call or check failed, 2 wrong usage or settings."""
    fill_closed_streams()
    try:
        if typed_alone(argv):
            print(WELCOME)
            return 0
        return _run(read_command_line(COMMANDS, sys.argv[1:] if argv is None else argv), forking=argv is None)
    except ConfigError as error:
        print(f"lg-gateway: {exit_text(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1  # the reader of standard output has left
    except OSError as error:
        print(f"lg-gateway: {system_error_text(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        flush_output()


def _shared(parser: argparse._ActionsContainer) -> None:
    add_common_flags(parser)
    parser.add_argument("--mcp-json", type=Path, metavar="FILE", help="also serve the servers of an mcpServers file")


FOLDERS = (serving, operating, calls, approvals, halting, confining, audit, rules, identity, logins, clients)
COMMANDS = CommandSet(
    program="lg-gateway",
    version=__version__,
    description=DESCRIPTION,
    epilog=EPILOG,
    commands=(
        *(command for folder in FOLDERS for command in folder.COMMANDS),
        completion_command(),
    ),
    shared=_shared,
    default="serve",
)


def _run(args: argparse.Namespace, *, forking: bool) -> int:
    if forking and args.chosen.starts_servers:
        from lg_policy.prefork.start import prepare

        workers = min(max(1, getattr(args, "workers", 1)), 64)
        prepare("lg_gateway", (0,) * len(BUILTINS) if workers == 1 else (len(BUILTINS),) * workers)
    status: int = args.chosen.code()(args)
    tell_actions(COMMANDS, args)
    return status
