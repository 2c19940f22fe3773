"""The command line of `lg-code`. It parses first and imports heavy modules afterwards, so `--help` is instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lg_policy.config.flags import (
    add_common_flags,
    add_serve_flags,
    common_flags,
    serve_flags,
    tell_terminal,
    typed_alone,
)
from lg_policy.errors import ConfigError
from lg_policy.printing import exit_text
from lg_policy.wire.standard_streams import check_standard_streams, flush_output

WELCOME = """\
lg-code is an MCP server: it knows the code below the directories that you name.
It finds definitions, references and tests, and draws a map. It changes nothing.
An MCP client starts it, or lg-gateway, which records every call.

  lg-gateway tools                 its tools, as a client here sees them
  lg-gateway call code__repo_map   try one
  lg-gateway install CLIENT        put it into a client, behind the gateway
  lg-code --root DIR                 serve MCP here

`lg-code --help` lists all options."""
"""What a person sees who types the bare name."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of `lg-code`."""
    made = argparse.ArgumentParser(
        prog="lg-code",
        description="MCP server that knows the code below the directories that you name. It changes nothing there.",
    )
    made.add_argument(
        "--root",
        dest="roots",
        action="append",
        type=Path,
        metavar="DIR",
        help="directory to serve (default: the current directory). Repeat it to serve several: "
        "paths then begin with the name of a directory",
    )
    add_common_flags(made, root_flag=None)
    add_serve_flags(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `lg-code` and return its exit status: 0 after a clean end, 2 for a wrong command line or setting."""
    try:
        return _main(argv)
    finally:
        flush_output()


def _main(argv: Sequence[str] | None) -> int:
    if typed_alone(argv):
        print(WELCOME)
        return 0
    args = parser().parse_args(argv)
    flags = serve_flags(args)
    try:
        if flags.transport == "stdio":
            check_standard_streams()
            tell_terminal(
                "lg-code", flags, "`lg-code --help`, or try its tools with `lg-gateway tools` and `lg-gateway call`"
            )
        roots: list[Path] = args.roots or [_current_directory()]
        from lg_policy.quick_imports import quick_imports

        with quick_imports():
            from lg_code.server.startup import run

        return run(roots, common_flags(args), flags)
    except ConfigError as error:
        print(f"lg-code: {exit_text(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(f"the current directory is gone: {error.strerror}", hint="pass --root DIR") from error
