"""Talks MCP over the pipes of a gateway that a spare process has become.

The SDK's client of stdio starts a program, and cannot take one that runs. This ends it as that does: its input is
closed, then it gets SIGTERM, then SIGKILL.
"""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from lg_policy.prefork.process import open_forked
from lg_policy.prefork.spares import dismiss_spares

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import Process
    from mcp.client._transport import TransportStreams

GRACE_S = 2.0
_GONE = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, OSError)


async def fork_gateway(argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: int) -> Process | None:
    """Start the gateway by fork, with its standard error in the descriptor `log`. `None` if that cannot be done."""
    process = await open_forked(argv, env=get_default_environment() | dict(env), cwd=cwd, stderr=log)
    dismiss_spares()
    return process


@asynccontextmanager
async def forked_streams(process: Process) -> AsyncIterator[TransportStreams]:
    """Exchange messages with the process for the length of the block, and end it then."""
    to_session, received = anyio.create_memory_object_stream[Any](0)
    sent, to_gateway = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with to_session:
            with suppress(*_GONE):
                await _read(process, to_session)

    async def write() -> None:
        async with to_gateway:
            with suppress(*_GONE):
                async for item in to_gateway:
                    await _write(process, item)
                return
        await to_session.aclose()  # nothing more can be sent: whoever waits for an answer must not wait for ever

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(write)
        try:
            yield received, sent
        finally:
            with anyio.CancelScope(shield=True):
                sent.close()
                received.close()
                await _end(process)
            tasks.cancel_scope.cancel()


async def _read(process: Process, out: Any) -> None:
    if process.stdout is None:
        return
    parts: list[bytes] = []
    while True:
        *lines, rest = (await process.stdout.receive()).split(b"\n")
        for line in lines:
            whole = b"".join([*parts, line]) if parts else line
            parts.clear()
            await out.send(_message(whole))
        if rest:
            parts.append(rest)


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(process: Process, item: SessionMessage) -> None:
    if process.stdin is not None:
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        await process.stdin.send(text.encode() + b"\n")


async def _end(process: Process) -> None:
    if process.stdin is not None:
        with suppress(*_GONE):
            await process.stdin.aclose()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if await _ended(process):
            break
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    await _ended(process)
    if process.stdout is not None:
        await process.stdout.aclose()


async def _ended(process: Process) -> bool:
    with anyio.move_on_after(GRACE_S):
        await process.wait()
    return process.returncode is not None
