"""Talks MCP over the pipes of a child process that is already running, and lets a relay see every message.

The SDK's own stdio client starts the process itself. Then every child would have to wait for the gateway's imports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import mcp_types as t
from anyio.abc import ByteReceiveStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from lg_gateway.processes.child_process import Child
from lg_gateway.upstreams.message_lines import MessageLines, TooLong
from lg_gateway.upstreams.relay import INLINE_BYTES, Relay

log = logging.getLogger(__name__)

MESSAGE_BYTES = 64_000_000
Incoming = SessionMessage | Exception


@asynccontextmanager
async def child_transport(child: Child, lost: anyio.Event, relay: Relay) -> AsyncIterator[TransportStreams]:
    """Exchange newline-delimited JSON-RPC with a child; set `lost` when it stops talking. Stops the child on exit."""
    to_session, from_child = anyio.create_memory_object_stream[Incoming](0)
    to_child, from_session = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        try:
            async with to_session:
                await _read_messages(child, to_session, relay)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            log.debug("%s: its reader ended with the connection", child.launch.name)
        finally:
            relay.connection_ended()
            lost.set()

    async def write() -> None:
        stdin = child.process.stdin
        try:
            async with from_session:
                async for message in from_session:
                    if stdin is not None:
                        relay.left(message.message)
                        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                        await stdin.send(text.encode("utf-8", "replace") + b"\n")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            lost.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        tasks.start_soon(child.copy_log)
        try:
            yield from_child, _SendWatch(to_child, relay)
        finally:
            from_child.close()
            to_child.close()
            await child.stop()
            tasks.cancel_scope.cancel()


async def _read_messages(child: Child, out: Any, relay: Relay) -> None:
    stdout = child.process.stdout
    if stdout is None:
        return
    lines = MessageLines(MESSAGE_BYTES)
    early = _EarlyReading(stdout, lines, relay)

    async def pass_on(texts: list[bytes]) -> None:
        for text in texts:
            for message in await relay.received(text):
                await out.send(SessionMessage(message))

    try:
        while True:
            early.on = True
            data = await stdout.receive()
            early.on = False
            for message in early.taken():
                await out.send(SessionMessage(message))
            await pass_on(lines.feed(data))
    except anyio.EndOfStream:
        await pass_on(lines.end())
    except TooLong:
        name = child.launch.name
        log.warning("%s sent a message of more than %d bytes; stopping the server", name, MESSAGE_BYTES)


class _EarlyReading:
    """Reads whole lines as they come, while the task that reads waits for some: most are answers to direct calls.

    Their calls go on without that task, which would take a turn of the event loop, and asyncio's way to it another one.
    Messages for the session are left to the task. `on` says that it waits and has seen everything before.
    """

    def __init__(self, stream: ByteReceiveStream, lines: MessageLines, relay: Relay) -> None:
        self.on = False
        self._lines = lines
        self._relay = relay
        self._found: list[t.JSONRPCMessage] = []
        reader = getattr(stream, "_stream", None)  # private: anyio has no way to hear of data but to wait for it
        if isinstance(reader, asyncio.StreamReader):
            self._feed = reader.feed_data
            reader.feed_data = self._came  # type: ignore[method-assign,assignment]  # asyncio calls it for each part that comes
            pipe = getattr(reader, "_transport", None)  # private as well: the pipe of the child
            if isinstance(pipe, asyncio.ReadTransport) and isinstance(pipe.get_protocol(), asyncio.Protocol):
                pipe.set_protocol(_AtOnce(pipe.get_protocol(), self._came))

    def _came(self, data: bytes) -> None:
        if not self.on or not self._lines.between or len(data) > INLINE_BYTES or not data.endswith(b"\n"):
            self.on = False
            self._feed(data)
            return
        for text in self._lines.feed(data):
            self._found += self._relay.received_now(text, go_on=True)
        if self._found:
            self.on = False
            self._feed(b"\n")  # wakes the task

    def taken(self) -> list[t.JSONRPCMessage]:
        """Return the messages for the session that came meanwhile."""
        found, self._found = self._found, []
        return found


class _AtOnce(asyncio.Protocol):
    """Takes the data of a child's pipe when it is read. asyncio would pass it on in the next turn of the event loop."""

    def __init__(self, inner: Any, came: Callable[[bytes], None]) -> None:
        self.data_received = came  # type: ignore[method-assign,assignment]  # a method would be a call more for each answer
        self.eof_received = inner.eof_received  # type: ignore[method-assign]  # as above
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]  # as above


@asynccontextmanager
async def watched(transport: Any, lost: anyio.Event, relay: Relay) -> AsyncIterator[TransportStreams]:
    """Pass a transport on, tell `relay` what is sent, and set `lost` when the read stream ends."""
    async with transport as (read, write):
        yield _EndWatch(read, lost), _SendWatch(write, relay, leaves_at_once=True)


class _SendWatch:
    """A write stream that shows each message to a relay first, in the sender's context variables.

    `leaves_at_once`: nothing else says when a message is written, so one that waits here counts as written too.
    """

    def __init__(self, inner: Any, relay: Relay, *, leaves_at_once: bool = False) -> None:
        self._inner = inner
        self._relay = relay
        self._leaves_at_once = leaves_at_once

    async def send(self, item: SessionMessage, /) -> None:
        self._relay.sent(item.message)
        if self._leaves_at_once:
            self._relay.left(item.message)
        await self._inner.send(item)
        self._relay.left(item.message)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        result: bool | None = await self._inner.__aexit__(exc_type, exc, trace)
        return result


class _EndWatch:
    """A read stream that reports its end. `last_context` carries the sender's context variables."""

    def __init__(self, inner: Any, lost: anyio.Event) -> None:
        self._inner = inner
        self._lost = lost

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Incoming:
        try:
            received: Incoming = await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._lost.set()
            raise
        return received

    async def aclose(self) -> None:
        self._lost.set()
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Incoming:
        try:
            received: Incoming = await self._inner.__anext__()
        except StopAsyncIteration:
            self._lost.set()
            raise
        return received

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        result: bool | None = await self._inner.__aexit__(exc_type, exc, trace)
        return result
