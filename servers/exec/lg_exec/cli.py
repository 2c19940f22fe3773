"""The command line of `lg-exec`. It parses first and imports the rest when a command runs, so `--help` is instant."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lg_policy.config.flags import (
    ServeFlags,
    add_common_flags,
    add_serve_flags,
    common_flags,
    serve_flags,
    tell_terminal,
    typed_alone,
)
from lg_policy.errors import LgError
from lg_policy.printing import exit_text, system_error_text
from lg_policy.wire.roots_server import current_directory
from lg_policy.wire.standard_streams import check_standard_streams, flush_output

if TYPE_CHECKING:
    from lg_exec.server.setup import Assembly
    from lg_policy.config.flags import CommonFlags

log = logging.getLogger(__name__)


WELCOME = """\
lg-exec is an MCP server: it runs build, test and lint commands by name, in an
OS sandbox, and nothing else. An MCP client starts it, or lg-gateway, which asks
you before a command and records every call.

  lg-exec doctor                         try the sandbox and every limit
  lg-gateway call exec__list_commands    which commands may run here
  lg-gateway install CLIENT              put it into a client, behind a gateway
  lg-exec serve                          serve MCP here

`lg-exec --help` lists all options."""
"""What a person sees who types the bare name."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="lg-exec", description="MCP server that runs build, test and lint commands by name, in an OS sandbox."
    )
    add_common_flags(parser)
    add_serve_flags(parser)
    parser.add_argument(
        "--sandbox",
        choices=("required", "off"),
        help="`required`: refuse every command unless a sandbox works. "
        "`off`: run commands unconfined, with your own rights (default: the setting exec.sandbox)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve MCP (the default)")
    commands.add_parser("doctor", help="try the sandbox and every limit on this machine, and print which hold")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 done, 1 failed, 2 wrong usage or configuration."""
    try:
        return _main(argv)
    finally:
        flush_output()


def _main(argv: Sequence[str] | None) -> int:
    if typed_alone(argv):
        print(WELCOME)
        return 0
    args = build_parser().parse_args(argv)
    flags = common_flags(args)
    try:
        if args.command == "doctor":
            return _doctor(flags, args.sandbox)
        return _serve(flags, serve_flags(args), args.sandbox)
    except LgError as error:
        print(f"lg-exec: {exit_text(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1  # the reader of standard output has left
    except OSError as error:
        print(f"lg-exec: {system_error_text(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(flags: CommonFlags, serving: ServeFlags, sandbox: str | None) -> int:
    if serving.transport == "stdio":
        check_standard_streams()
        tell_terminal("lg-exec", serving, "`lg-exec doctor` or `lg-exec --help`")
    from lg_policy.quick_imports import USED_LATER, quick_imports

    with quick_imports(USED_LATER):
        from lg_exec.server.server import make_server
        from lg_policy.wire.serving import serve, start_logging

    start_logging(flags.log_level)
    with _assemble(flags, sandbox) as assembly:
        if not assembly.executor.backend.report.active:
            log.warning("no sandbox is active: %s", assembly.why)
        return serve(make_server(assembly.root, assembly.settings, assembly.executor), serving)


def _doctor(flags: CommonFlags, sandbox: str | None) -> int:
    from lg_exec.server.doctor import examine

    logging.basicConfig(level=flags.log_level.upper(), stream=sys.stderr)
    with _assemble(flags, sandbox) as assembly:
        return examine(assembly, sys.stdout)


def _assemble(flags: CommonFlags, sandbox: str | None) -> Assembly:
    from lg_exec.server.setup import assemble

    return assemble(flags, sandbox, default_root=flags.root or current_directory())
