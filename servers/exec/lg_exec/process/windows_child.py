"""One child process and its pipes on Windows, where asyncio's proactor does the waiting. See `posix_child`.

The process starts suspended, so that it can be put into its job before it does anything.

Not covered: if this server is killed between the two, a process is left that has never run.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

import anyio

from lg_exec.process.outputs import Outputs

if TYPE_CHECKING:
    from lg_exec.process.container import Container

_CREATE_SUSPENDED = 0x0000_0004
_CREATE_NEW_PROCESS_GROUP = 0x0000_0200
_CREATE_NO_WINDOW = 0x0800_0000


class WindowsStreams(Outputs):
    """The two output pipes of a command. They are read as long as they are open."""

    transport: asyncio.SubprocessTransport | None = None

    def close(self) -> None:
        """Stop reading."""
        if self.transport is not None:
            self.transport.close()


class _Protocol(asyncio.SubprocessProtocol):
    def __init__(self, streams: WindowsStreams) -> None:
        self._streams = streams
        self._open = {1, 2}
        self.exited = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._streams.take(data, self._streams.stdout if fd == 1 else self._streams.stderr)

    def pipe_connection_lost(self, fd: int, _error: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self._streams.ended.set()

    def process_exited(self) -> None:
        self.exited.set()


class WindowsExit:
    """Notices that a child ended."""

    def __init__(self, transport: asyncio.SubprocessTransport, happened: asyncio.Event) -> None:
        self._transport = transport
        self.pid = transport.get_pid()
        self.happened = happened

    async def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`, and return whether the child has ended."""
        with anyio.move_on_after(seconds):
            await self.happened.wait()
        return self.happened.is_set()

    def reap(self) -> tuple[int, None]:
        """Return the exit code of the ended child. Its job knows what it has used."""
        code = self._transport.get_returncode()
        if code is None:
            raise RuntimeError("the process has not ended")
        return code, None

    def close(self) -> None:
        """Do nothing: the streams own the transport."""


async def start(container: Container, stdin: bytes, streams: WindowsStreams) -> WindowsExit:
    """Start the process suspended, with `stdin` on its way to it. Raises `OSError`."""
    protocol = _Protocol(streams)
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        lambda: protocol,
        *container.argv,
        env=dict(container.env),
        cwd=container.cwd,
        creationflags=_CREATE_SUSPENDED | _CREATE_NEW_PROCESS_GROUP | _CREATE_NO_WINDOW,
    )
    streams.transport = transport
    source = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
    with contextlib.suppress(BrokenPipeError):  # it has ended already
        if stdin:
            source.write(stdin)
        source.close()
    return WindowsExit(transport, protocol.exited)
