"""The fixture server as a program: where it is, and how a process that has imported the SDK becomes it."""

from __future__ import annotations

import functools
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.forked import Program

FIXTURE = Path(__file__).with_name("fixture_server.py")


def fixture_server(words: list[str]) -> Program | None:
    """Return the program of a command that starts the fixture server, `None` for every other command."""
    if words[:2] != [sys.executable, str(FIXTURE)] or "mcp.server" not in sys.modules:
        return None
    return functools.partial(_main, words)


def _main(words: list[str]) -> int:
    sys.argv = words[1:]
    runpy.run_path(words[1], run_name="__main__")
    return 0
