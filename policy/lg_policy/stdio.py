"""Standard input and output for the SDK's stdio server, without a thread: a task can stop waiting for either.

The SDK's own reader blocks a thread that nothing can interrupt, and its writer changes threads twice for each answer.
Both descriptors are taken over: 0 then reads end-of-file and 1 writes to standard error, so that neither a child nor a
stray print touches the protocol.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio

_CHUNK = 1 << 18


def stdin_lines() -> Any:
    """Return an async iterator over the lines of standard input for the SDK's `stdio_server`, or `None`.

    `None` where readiness cannot be waited for (regular files, the null device, Windows): the SDK reads those in a
    thread, which is harmless because they never block.
    """
    if not _can_be_waited_for(0):
        return None
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return _lines(wire)


def stdout_file() -> Any:
    """Return what the SDK's `stdio_server` writes its messages to, or `None` where it had better do so in a thread.

    Only pipes and sockets: they are made non-blocking, which on a terminal would reach everybody who shares it.
    """
    if not _can_be_waited_for(1) or os.isatty(1):
        return None
    wire = os.dup(1)
    os.set_blocking(wire, False)
    os.dup2(2, 1)
    return _Messages(wire)


def _can_be_waited_for(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd))


async def _lines(fd: int) -> AsyncIterator[str]:
    pending: list[bytes] = []
    while True:
        await anyio.wait_readable(fd)
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            break
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            yield b"".join([*pending, line]).decode("utf-8", "replace")
            pending.clear()
        if rest:
            pending.append(rest)
    if pending:
        yield b"".join(pending).decode("utf-8", "replace")


class _Messages:
    """A text file as far as the SDK's writer uses one."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def write(self, text: str) -> None:
        """Write all of it, waiting whenever the reader is behind. Raises `OSError` once the reader is gone."""
        rest = memoryview(text.encode("utf-8", "replace"))
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._fd)

    async def flush(self) -> None:
        """Nothing is held back."""
