"""The servers of these tests as programs: started from nothing, or by a fork."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.forked import Program

DIRECT_SERVER = Path(__file__).with_name("direct_server.py")
COMMAND = [sys.executable, "-m", "tests.policy.wire.fixture_server"]


@contextmanager
def http_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen([*COMMAND, "--transport", "http"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()


def forked_server(words: list[str]) -> Program | None:
    """Return the program of a command that starts one of the two, `None` for every other command."""
    if words[:3] == COMMAND:
        return partial(_fixture, words)
    return partial(_direct, words) if words[2:3] == [str(DIRECT_SERVER)] else None


def _fixture(words: list[str]) -> int:
    from tests.policy.wire import fixture_server

    sys.argv = words[2:]
    return fixture_server.main()


def _direct(words: list[str]) -> int:
    from tests.policy.wire import direct_server

    sys.argv = words[2:]
    return direct_server.main()
