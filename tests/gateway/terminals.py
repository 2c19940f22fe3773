"""A command on a terminal of its own, as a human at the keyboard sees and drives it."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.gateway.rig import program_environment

WAIT_S = 30.0


class Screen:
    """What the terminal has shown so far, and its keyboard."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def wait(self, text: str, times: int = 1) -> str:
        """Wait until `text` was shown that often; return all that was shown."""
        deadline = time.monotonic() + WAIT_S
        while self.shown.count(text) < times:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not shown:\n{self.shown}"
            if select.select([self._descriptor], [], [], left)[0]:
                data = os.read(self._descriptor, 65536)
                assert data, self.shown
                self.shown += data.decode()
        return self.shown

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())


@contextmanager
def gateway_on_terminal(*args: str) -> Iterator[Screen]:
    """Run `lg-gateway ARGS` on a terminal of its own."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, [sys.executable, "-P", "-m", "lg_gateway", *args], program_environment())
    try:
        yield Screen(descriptor)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(descriptor)
