"""The command line of `lg-fs`: parse, then import what is heavy."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lg_policy.config.flags import add_common_flags, add_serve_flags, common_flags, serve_flags
from lg_policy.errors import ConfigError
from lg_policy.printing import exit_text


def parser() -> argparse.ArgumentParser:
    """Return the parser of `lg-fs`."""
    # "resolve": --root is replaced by one that may be given several times.
    made = argparse.ArgumentParser(
        prog="lg-fs",
        description="MCP server for the files below one or more root directories, and nothing else.",
        conflict_handler="resolve",
    )
    add_common_flags(made)
    made.add_argument(
        "--root",
        dest="roots",
        action="append",
        type=Path,
        metavar="DIR",
        help="directory to serve (default: the current one); repeated, paths begin with the directory's name",
    )
    add_serve_flags(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run `lg-fs` and return its exit status: 0 after a clean end, 2 for a wrong command line or setting."""
    args = parser().parse_args(argv)
    roots: list[Path] = args.roots or [Path.cwd()]
    args.root = roots[0]
    try:
        from lg_policy.quick_imports import quick_imports

        with quick_imports():
            from lg_fs.server.startup import run

        return run(roots, common_flags(args), serve_flags(args))
    except ConfigError as error:
        print(f"lg-fs: {exit_text(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
