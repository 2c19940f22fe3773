"""Sends tool calls to a child process without the SDK's session, which would cost several times as much.

One call is one line out and one line back. The SDK's session has opened the connection and goes on to handle everything
else on it: lists, notifications, questions, rounds of input. Both write whole lines to the same pipe, and the relay
tells their answers and reports of progress apart by the request's number.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from pydantic_core import PydanticSerializationError, to_json

from lg_gateway.processes.child_process import Child
from lg_gateway.upstreams.client_side.caller_capabilities import with_callers_capabilities
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Answer, Arrival, Reply

FIRST_NUMBER = 1_000_000_000
"""The SDK numbers its own requests from 1."""
NOTICE_S = 0.1
"""How long a server that does not read is waited for when it is told that a call was given up."""


class DirectCalls:
    """The way to one connected child. `client` is the session that was opened with it."""

    usable = True

    def __init__(self, child: Child, relay: Relay, client: Client, lost: anyio.Event) -> None:
        """Keep `lost`, which is set when nothing can be written: the server may live on, but takes no calls."""
        self._stdin = child.process.stdin
        writer = getattr(self._stdin, "_stream", None)  # private: anyio takes two turns of the event loop for a line
        self._pipe = writer.transport if isinstance(writer, asyncio.StreamWriter) else None
        self._relay = relay
        self._lost = lost
        self._numbers = itertools.count(FIRST_NUMBER)
        self._envelope = _envelope(client)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], reply: Reply, timeout_s: float | None
    ) -> Answer | None:
        """Send one call and wait for its answer, which is in `reply`; return an answer that asks for input.

        Raises `MCPError` as the SDK's session does: the server's own error, -32001 when the time is over, -32000 when
        the connection ended (`reply.request_id` is `None` if it had ended before the call was written). Raises
        `ValidationError` for an answer that asks for input in a wrong form.
        """
        if self._relay.over:
            raise MCPError(t.CONNECTION_CLOSED, "Connection closed")
        number = next(self._numbers)
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        token = {"progressToken": number} if reply.progress is not None else {}
        if meta or token or self._envelope:
            params["_meta"] = with_callers_capabilities({**meta, **token, **self._envelope})
        line = _line({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
        loop = asyncio.get_running_loop()
        ended = reply.ended = Arrival(loop)
        clock = loop.call_later(timeout_s, _end_time, ended) if timeout_s is not None else None
        try:
            if not self._written_at_once(number, line, reply):
                with anyio.move_on_after(timeout_s):
                    await self._written_in_turn(number, line, reply)
            await ended
        except _TimeOver:
            await self._cancel(number, f"timed out after {timeout_s}s", sent=reply.left)
            raise MCPError(t.REQUEST_TIMEOUT, "Request 'tools/call' timed out") from None
        except anyio.get_cancelled_exc_class():
            await self._cancel(number, "caller cancelled", sent=reply.left)
            raise
        finally:
            if clock is not None:
                clock.cancel()
        return outcome(reply)

    def _written_at_once(self, number: int, line: bytes, reply: Reply) -> bool:
        """Write a line, if its server has read all before; return whether that was so."""
        pipe = self._pipe
        if pipe is None or pipe.is_closing() or pipe.get_write_buffer_size():
            return False
        self._relay.sent_directly(number, "tools/call", reply)
        pipe.write(line)
        if pipe.is_closing():
            self._lost.set()
            self._relay.cannot_write(number, reply)
        return True

    async def _written_in_turn(self, number: int, line: bytes, reply: Reply) -> None:
        """Write a line once its server has read: what waits here is not kept for it."""
        if await self._written(b""):
            self._relay.sent_directly(number, "tools/call", reply)
            if await self._written(line):
                return
        self._relay.cannot_write(number, reply)

    async def _written(self, line: bytes) -> bool:
        """Write a line; return whether that was possible."""
        try:
            if self._stdin is not None:
                await self._stdin.send(line)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            self._lost.set()
            return False
        return True

    async def _cancel(self, number: int, why: str, *, sent: bool) -> None:
        """Tell the server that a call was given up. A server that does not read is hardly waited for."""
        if sent:
            self._relay.give_up(number)
            params = {"requestId": number, "reason": why}
            with anyio.move_on_after(NOTICE_S, shield=True):
                await self._written(_line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))


class _TimeOver(Exception):
    """A call has no answer in time."""


def _end_time(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_exception(_TimeOver())


def outcome(reply: Reply) -> Answer | None:
    """Return what is not in the reply of an answered direct request: an answer that asks for input.

    Raises `MCPError` and `ValidationError` as `DirectCalls.call` does.
    """
    if reply.error is not None or reply.unreadable:
        error = reply.error or t.ErrorData(code=t.PARSE_ERROR, message=reply.unreadable)
        raise MCPError.from_error_data(error)
    if reply.asked_for_input is not None:
        return t.InputRequiredResult.model_validate(reply.asked_for_input, by_name=False)
    return None


def json_bytes(message: Mapping[str, Any]) -> bytes:
    """Return a message as it is sent."""
    try:
        return to_json(message)
    except PydanticSerializationError:  # half a surrogate pair, which UTF-8 cannot say
        return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _line(message: Mapping[str, Any]) -> bytes:
    return json_bytes(message) + b"\n"


def _envelope(client: Client) -> dict[str, Any]:
    """Return what the protocol wants in the `_meta` of every request on this connection; a 2025 one wants nothing."""
    data: dict[str, Any] = {"method": "tools/call", "params": {"name": ""}}
    client.session._stamp(data, {})  # private: the session has no other way to say what it stamps
    return dict(data["params"].get("_meta") or {})
