"""An MCP stdio transport over a child that is already running, and a way to hear that a connection ended.

The SDK's own stdio client starts the process itself, which would make every child wait for the gateway's imports.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import anyio
import mcp_types as t
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from lg_gateway.processes.child_process import Child

log = logging.getLogger(__name__)

MESSAGE_BYTES = 64_000_000
Incoming = SessionMessage | Exception


@asynccontextmanager
async def child_transport(child: Child, lost: anyio.Event) -> AsyncIterator[TransportStreams]:
    """Exchange newline-delimited JSON-RPC with a child; set `lost` when it stops talking. Stops the child on exit."""
    to_session, from_child = anyio.create_memory_object_stream[Incoming](0)
    to_child, from_session = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        try:
            async with to_session:
                await _read_messages(child, to_session)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            log.debug("%s: its reader ended with the connection", child.launch.name)
        finally:
            lost.set()

    async def write() -> None:
        stdin = child.process.stdin
        try:
            async with from_session:
                async for message in from_session:
                    if stdin is not None:
                        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                        await stdin.send(text.encode("utf-8", "replace") + b"\n")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            lost.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        tasks.start_soon(child.copy_log)
        try:
            yield from_child, to_child
        finally:
            from_child.close()
            to_child.close()
            await child.stop()
            tasks.cancel_scope.cancel()


async def _read_messages(child: Child, out: Any) -> None:
    stdout = child.process.stdout
    if stdout is None:
        return
    pending = bytearray()
    noise = _Noise(child.launch.name)
    with suppress(anyio.EndOfStream):
        while True:
            data = await stdout.receive()
            pending += data
            if b"\n" not in data:
                if len(pending) > MESSAGE_BYTES:
                    log.warning(
                        "%s sent a message of more than %d bytes; it is stopped", child.launch.name, MESSAGE_BYTES
                    )
                    return
                continue
            *lines, rest = bytes(pending).split(b"\n")
            pending = bytearray(rest)
            for line in lines:
                message = _parse(noise, line)
                if message is not None:
                    await out.send(message)


class _Noise:
    """What a server writes beside its messages: said at first, later now and then, as a flood would fill the log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = 0
        self._next = 1

    def heard(self, size: int) -> None:
        """Take note of a line of `size` bytes."""
        self._lines += 1
        if self._lines == self._next:
            what = "something" if self._lines == 1 else f"{self._lines} lines by now, each something"
            log.warning("%s wrote %s to standard output that is not a message (%d bytes)", self._name, what, size)
            self._next *= 10


def _parse(noise: _Noise, line: bytes) -> SessionMessage | None:
    """Return the message, `None` for a line that is none: servers that print to standard output are common."""
    if not line.strip():
        return None
    try:
        return SessionMessage(t.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        noise.heard(len(line))
        return None


@asynccontextmanager
async def watched(transport: Any, lost: anyio.Event) -> AsyncIterator[TransportStreams]:
    """Pass a transport on and set `lost` when its read stream ends."""
    async with transport as (read, write):
        yield _EndWatch(read, lost), write


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
