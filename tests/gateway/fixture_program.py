"""The servers of these tests as programs: where they are, and how a process that has imported the SDK becomes one."""

from __future__ import annotations

import functools
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.forked import Program

FIXTURE = Path(__file__).with_name("fixture_server.py")
SCRIPTS = [str(path) for path in Path(__file__).parent.glob("*_server.py")]
WHOLE_PROTOCOL = ["-P", "-m", "conformance.fixture"]


def fixture_server(words: list[str]) -> Program | None:
    """Return the program of a command that starts a server of these tests, `None` for every other command.

    The fixture server may also serve HTTP by a fork. The others use more of the SDK for that, and start from nothing.
    """
    if len(words) < 2 or words[0] != sys.executable or "mcp.server" not in sys.modules:
        return None
    if words[1] in SCRIPTS and (words[1] == str(FIXTURE) or "--http" not in words):
        return functools.partial(_script, words[1:])
    return functools.partial(_module, words[3:]) if words[1:] == WHOLE_PROTOCOL else None


def _script(words: list[str]) -> int:
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    return 0


def _module(words: list[str]) -> int:
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    return 0
