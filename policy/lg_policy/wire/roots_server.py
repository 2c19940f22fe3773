"""The command line of a server for the files below the roots that it is given.

It parses first and imports heavy modules afterwards, so `--help` is instant.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lg_policy.config.flags import (
    CommonFlags,
    ServeFlags,
    add_common_flags,
    add_serve_flags,
    common_flags,
    serve_flags,
    tell_terminal,
    typed_alone,
)
from lg_policy.errors import ConfigError
from lg_policy.printing import exit_text, system_error_text
from lg_policy.wire.standard_streams import check_standard_streams, flush_output

Run = Callable[[Sequence[Path], CommonFlags, ServeFlags], int]


@dataclass(frozen=True, kw_only=True)
class RootsServer:
    """One such program. `load` imports what serves, when it is needed."""

    name: str
    description: str
    welcome: str
    load: Callable[[], Run]

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser of its command line."""
        made = argparse.ArgumentParser(prog=self.name, description=self.description)
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

    def main(self, argv: Sequence[str] | None) -> int:
        """Run it and return its exit status: 0 after a clean end, 2 for a wrong command line or setting."""
        try:
            return self._main(argv)
        finally:
            flush_output()

    def _main(self, argv: Sequence[str] | None) -> int:
        if typed_alone(argv):
            print(self.welcome)
            return 0
        args = self.parser().parse_args(argv)
        flags = serve_flags(args)
        try:
            if flags.transport == "stdio":
                check_standard_streams()
                try_it = f"`{self.name} --help`, or try its tools with `lg-gateway tools` and `lg-gateway call`"
                tell_terminal(self.name, flags, try_it)
            roots: list[Path] = args.roots or [current_directory()]
            from lg_policy.quick_imports import USED_LATER, quick_imports

            with quick_imports(USED_LATER):
                run = self.load()
            return run(roots, common_flags(args), flags)
        except ConfigError as error:
            print(f"{self.name}: {exit_text(error)}", file=sys.stderr)
            return 2
        except OSError as error:
            print(f"{self.name}: {system_error_text(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130


def current_directory() -> Path:
    """Return the current directory. Raises `ConfigError` when it was removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the current directory is gone: {error.strerror}", hint="change to another one, or pass --root DIR"
        ) from error
