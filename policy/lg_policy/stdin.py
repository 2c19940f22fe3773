"""Lines from standard input that a task can stop waiting for."""

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
    thread, which is harmless because they never block. Descriptor 0
    itself is pointed at the null device, so that child processes read end-of-file instead of the protocol.
    """
    mode = os.fstat(0).st_mode
    if sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        return None
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return _lines(wire)


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
