"""A command on a terminal of its own, as a human at the keyboard sees and drives it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.forked import own_the_terminal
from tests.gateway.rig import program_environment

WAIT_S = 60.0


class Screen:
    """What the terminal has shown so far, its keyboard, and the process that it belongs to."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self._process = process
        self.pid = process.pid
        self.shown = ""

    def wait(self, text: str, times: int = 1) -> str:
        """Wait until `text` was shown that often; return all that was shown."""
        deadline = time.monotonic() + WAIT_S
        while self.shown.count(text) < times:
            assert self._read(deadline), f"{text!r} was not shown:\n{self.shown}"
        return self.shown

    def wait_for_any(self, text: str, other: str, times: int) -> None:
        """Wait until `text` was shown, or `other` more often than that."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.shown and self.shown.count(other) <= times:
            assert self._read(deadline), f"neither {text!r} nor {other!r} was shown:\n{self.shown}"

    def type(self, keys: str) -> None:
        """Press keys. A lone surrogate is sent as the byte that it stands for."""
        os.write(self._descriptor, keys.encode("utf-8", "surrogateescape"))

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size; the program is told."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def paste(self, text: str) -> None:
        """Paste a text of any length, as a terminal does for a program that asked for marked pastes."""
        data, sent = f"\x1b[200~{text}\x1b[201~".encode(), 0
        deadline = time.monotonic() + WAIT_S
        while sent < len(data):
            if select.select([], [self._descriptor], [], 0.1)[1]:
                sent += os.write(self._descriptor, data[sent : sent + 1_000])
            elif select.select([self._descriptor], [], [], 0)[0]:
                self._read(deadline)

    def glance(self) -> str:
        """Take in what is shown within a moment; return all that was shown."""
        if select.select([self._descriptor], [], [], 0.2)[0]:
            self._read(time.monotonic() + WAIT_S)
        return self.shown

    def end(self) -> int:
        """Wait for the end of the process; return its exit status, negative for a signal."""
        deadline = time.monotonic() + WAIT_S
        while self._read(deadline):
            pass
        return self._process.wait()

    def close(self) -> None:
        """End the process if it has not ended."""
        self._process.kill()
        self._process.wait()
        os.close(self._descriptor)

    def _read(self, deadline: float) -> bool:
        """Take in what is shown next; false once nothing can come any more."""
        left = deadline - time.monotonic()
        assert left > 0, f"nothing more was shown:\n{self.shown}"
        if not select.select([self._descriptor], [], [], left)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def on_terminal(*command: str, env: Mapping[str, str], size: tuple[int, int] = (0, 0)) -> Iterator[Screen]:
    """Run a command on a terminal of its own, of `size` rows and columns; killed if the block leaves it running."""
    descriptor, other = pty.openpty()
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    process = subprocess.Popen(
        command, stdin=other, stdout=other, stderr=other, env=dict(env), start_new_session=True,
        preexec_fn=own_the_terminal,  # noqa: PLW1509  two system calls; threads of the tests hold no lock for them
    )  # fmt: skip
    os.close(other)
    screen = Screen(descriptor, process)
    try:
        yield screen
    finally:
        screen.close()


@contextmanager
def gateway_on_terminal(
    *args: str, size: tuple[int, int] = (0, 0), env: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """Run `lg-gateway ARGS` on a terminal of its own."""
    command = (sys.executable, "-P", "-m", "lg_gateway", *args)
    with on_terminal(*command, env=program_environment() | dict(env or {}), size=size) as screen:
        yield screen


def approvals_on_terminal(typed: str, *args: str) -> str:
    """Answer on a terminal when it asks for typing; return all that it shows. `CODE` is what it asks to type."""
    with gateway_on_terminal("approvals", *args) as screen:
        shown = screen.wait("anything else")
        code = shown.rpartition(" type ")[2].partition(" ")[0]
        screen.type(typed.replace("CODE", code) + "\n")
        return screen.wait("approved\r\n")
