"""The command line of `lg-code`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lg_policy.wire.roots_server import RootsServer

if TYPE_CHECKING:
    from lg_policy.wire.roots_server import Run

WELCOME = """\
lg-code is an MCP server: it knows the code below the directories that you name.
It finds definitions, references and tests, and draws a map. It changes nothing.
An MCP client starts it, or lg-gateway, which records every call.

  lg-gateway tools                 its tools, as a client here sees them
  lg-gateway call code__repo_map   try one
  lg-gateway install CLIENT        put it into a client, behind the gateway
  lg-code --root DIR               serve MCP here

`lg-code --help` lists all options."""
"""What a person sees who types the bare name."""


def _load() -> Run:
    from lg_code.server.startup import run

    return run


_PROGRAM = RootsServer(
    name="lg-code",
    description="MCP server that knows the code below the directories that you name. It changes nothing there.",
    welcome=WELCOME,
    load=_load,
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `lg-code`."""
    return _PROGRAM.parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Run `lg-code` and return its exit status: 0 after a clean end, 2 for a wrong command line or setting."""
    return _PROGRAM.main(argv)
