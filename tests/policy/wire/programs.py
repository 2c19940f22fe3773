"""The fixture server as a program, over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
