"""MCP over standard input and output, without a thread on either side.

The SDK's own stdio transport hands every line in and every write out to a worker thread: three thread switches a
message, and a reader that SIGTERM cannot interrupt. Pipes and sockets are waited for in the event loop here, and so is
typing on a terminal. Otherwise it works as the SDK does: regular files and the null device never block, and a terminal
must not be made non-blocking for everybody who shares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from lg_policy.wire.odd_messages import messages_in

if TYPE_CHECKING:
    from lg_policy.wire.direct_requests import DirectRequests

_PIPE_SIZE = 1 << 20


@asynccontextmanager
async def stdio_streams(direct: DirectRequests | None = None) -> AsyncIterator[tuple[Any, Any]]:
    """Yield the read and the write stream for `Server.run`. `direct` is offered each line first.

    Meanwhile descriptor 0 is the null device and descriptor 1 is standard error, so that child processes read
    end-of-file and printed text stays out of the protocol.
    """
    if sys.platform == "win32" or not _can_be_waited_for(os.fstat(0), os.fstat(1)):
        typed: Any = _typed_lines() if sys.platform != "win32" and os.isatty(0) else None
        async with stdio_server(stdin=typed) as streams:
            yield streams
        return
    with _claimed(0, os.open(os.devnull, os.O_RDONLY)) as source, _claimed(1, os.dup(2)) as sink:
        _widen(sink.fileno())
        loop = asyncio.get_running_loop()
        outgoing = _Outgoing()
        incoming = _Incoming(outgoing.send_lines, direct)
        if direct is not None:
            direct.send_with(outgoing.send_line)
        reading, _ = await loop.connect_read_pipe(lambda: incoming, source)
        writing, _ = await loop.connect_write_pipe(lambda: outgoing, sink)
        outgoing.transport = writing
        try:
            yield incoming, outgoing
            await outgoing.drained()
        finally:
            for wire in (source, sink):
                if not wire.closed:  # by the transport, when the other side is gone
                    os.set_blocking(wire.fileno(), True)  # whoever shares the pipe may rely on it
            reading.close()
            if not writing.is_closing():  # asyncio's transport cannot be aborted twice
                writing.abort()


def _can_be_waited_for(*ends: os.stat_result) -> bool:
    """Return whether both are pipes or sockets. asyncio cannot use one socket for both."""
    proper = all(stat.S_ISFIFO(end.st_mode) or stat.S_ISSOCK(end.st_mode) for end in ends)
    return proper and len({(end.st_dev, end.st_ino) for end in ends}) == len(ends)


def _widen(fd: int) -> None:
    """Let a pipe hold a large answer, so that writer and reader need not take turns for every 64 KiB of it."""
    import fcntl  # not on Windows, which never comes here

    with contextlib.suppress(AttributeError, OSError):  # macOS; a socket, or more than this user may have
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


def _claimed(fd: int, instead: int) -> BinaryIO:
    """Take a standard descriptor away, put another in its place, and return it as a file."""
    wire = os.dup(fd)
    os.dup2(instead, fd)
    os.close(instead)
    return os.fdopen(wire, "rb" if fd == 0 else "wb", buffering=0)


async def _typed_lines() -> AsyncIterator[str]:
    """Yield the lines of a terminal, which returns one for each read."""
    while True:
        await anyio.wait_readable(0)
        line = os.read(0, 1 << 16)
        if not line:
            return
        yield line.decode("utf-8", "replace")


class _Stream:
    """What the SDK's streams have in common: they are context managers, and closing twice is harmless."""

    async def aclose(self) -> None:
        """Do nothing: `stdio_streams` owns the transports."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Incoming(_Stream, asyncio.Protocol):
    """Messages from the client, one a line; a line that is not a message is passed on as the error it caused."""

    def __init__(self, answer: Callable[[list[bytes]], None], direct: DirectRequests | None) -> None:
        """Keep `answer`, which sends lines to the client: for messages that cannot be passed on."""
        self._answer = answer
        self._direct = direct
        self._lines: deque[bytes] = deque()
        self._part: list[bytes] = []
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Take the bytes that the pipe had."""
        *complete, rest = data.split(b"\n")
        for end in complete:
            line = b"".join([*self._part, end]) if self._part else end
            self._part.clear()
            # In order: a line is not taken from here while others wait.
            if self._lines or self._direct is None or not self._direct.take(line):
                self._lines.append(line)
        if rest:
            self._part.append(rest)
        if self._lines:
            self._wake()

    def eof_received(self) -> None:
        """Read the last line, even if it has no line break: the client has left."""
        if self._part:
            self._lines.append(b"".join(self._part))
            self._part.clear()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the stream: nothing more arrives, or nothing more can be sent."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        while True:
            line = await self._next_line()
            try:
                text = line.decode("utf-8", "replace")
                return SessionMessage(jsonrpc_message_adapter.validate_json(text, by_name=False))
            except ValueError as error:
                mended = messages_in(line)
                self._lines.extendleft(reversed(mended.messages))
                self._answer(mended.answers)
                if not mended.messages and not mended.answers:
                    return error

    async def _next_line(self) -> bytes:
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._lines.popleft()


class _Outgoing(_Stream, asyncio.BaseProtocol):
    """Messages to the client. A message is written whole or not at all, also when its sender is cancelled."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lost = False

    def pause_writing(self) -> None:
        """Make senders wait: the client does not keep up."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Let senders continue."""
        self._may_write.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the stream: nothing more arrives, or nothing more can be sent."""
        self._lost = True
        self._may_write.set()

    async def send(self, item: SessionMessage) -> None:
        """Write a message, or put it behind those that wait; returns when there is room for more."""
        await self._may_write.wait()
        if self._lost:
            return  # as with any pipe nobody reads: end of input ends the server
        # As `model_dump_json`, without turning bytes into text and back: that counts for a megabyte.
        data = item.message.__pydantic_serializer__.to_json(item.message, by_alias=True, exclude_unset=True)
        self.transport.write(data + b"\n")

    async def send_line(self, line: bytes) -> None:
        """Write a line, or put it behind those that wait; returns when there is room for more."""
        await self._may_write.wait()
        if not self._lost:
            self.transport.write(line + b"\n")

    def send_lines(self, lines: list[bytes]) -> None:
        """Put lines behind what waits to be written."""
        if lines and not self._lost:
            self.transport.write(b"".join(line + b"\n" for line in lines))

    async def drained(self) -> None:
        """Wait until everything was written."""
        self.transport.set_write_buffer_limits(0)
        await self._may_write.wait()
