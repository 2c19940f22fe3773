"""The command line of `lg-fs`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lg_policy.wire.roots_server import RootsServer

if TYPE_CHECKING:
    from lg_policy.wire.roots_server import Run

WELCOME = """\
lg-fs is an MCP server: it reads and changes the files below the directories
that you name, and nothing else. An MCP client starts it, or lg-gateway, which
asks you before a change and records every call.

  lg-gateway tools                 its tools, as a client here sees them
  lg-gateway call fs__list_files   try one
  lg-gateway install CLIENT        put it into a client, behind the gateway
  lg-fs --root DIR                 serve MCP here

`lg-fs --help` lists all options."""
"""What a person sees who types the bare name."""


def _load() -> Run:
    from lg_fs.server.startup import run

    return run


_PROGRAM = RootsServer(
    name="lg-fs",
    description="MCP server that reads and changes files, only below the directories that you name.",
    welcome=WELCOME,
    load=_load,
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `lg-fs`."""
    return _PROGRAM.parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run `lg-fs` and return its exit status: 0 after a clean end, 2 for a wrong command line or setting."""
    return _PROGRAM.main(argv)
