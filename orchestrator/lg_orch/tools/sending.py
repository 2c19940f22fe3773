"""Sends one call over a session, and tells a failed transport from an answer that is an error.

The MCP client reports a lost connection and a time-out with JSON-RPC codes that a living server may send as well. So
the codes decide nothing here: a time-out is what our own clock says, and a connection is lost if it does not answer a
second request. Over HTTP the answer to one request can be lost while the connection lives; then our gateway is asked
again under the same key, and tells the outcome that it recorded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.tools.connection import gone

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mcp.types import CallToolResult, InputRequiredResult

PROBE_S = 10.0
"""Seconds in which a living gateway lists its tools."""
GIVE_UP_S = 2.0
"""Seconds in which the gateway is told that a call was given up."""
OUR_GATEWAY = "lg-gateway"
_CLOSED = -32000
"""The code of the MCP client for a connection that was closed."""


class NoAnswerError(Exception):
    """No answer came within the time of the call."""


class CallSender:
    """Sends calls over the session of one client."""

    def __init__(self, client: Any, *, over_http: bool, server: str) -> None:
        self._client = client
        self._asks_again = over_http and server.partition(" ")[0] == OUR_GATEWAY

    async def send(
        self, name: str, arguments: dict[str, Any], meta: dict[str, Any], timeout_s: float, progress: Any, **again: Any
    ) -> CallToolResult | InputRequiredResult:
        """Send one call and return the answer.

        Raises `NoAnswerError` after `timeout_s`, `GatewayGone` when the connection was lost, `MCPError` for an error of
        the gateway that still lives; and what the client raises for an answer that is none.
        """
        from mcp import MCPError

        with anyio.move_on_after(timeout_s) as limit:
            try:
                return await self._answer(name, arguments, meta, progress, again)
            except MCPError as error:
                if error.error.code != _CLOSED:
                    raise
                if not await self._lives():
                    raise gone(error.error.message) from error
                if not self._asks_again:
                    raise
            return await self._answer(name, arguments, meta, progress, again)
        if limit.cancelled_caught:
            raise NoAnswerError
        raise RuntimeError("the call ended without an answer")

    async def _answer(
        self, name: str, arguments: dict[str, Any], meta: dict[str, Any], progress: Any, again: dict[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        call: Coroutine[Any, Any, CallToolResult | InputRequiredResult] = self._client.session.call_tool(
            name, arguments, None, progress, meta=meta, allow_input_required=True, **again
        )
        # Over HTTP a failure ends the session's own task, not the call: FastMCP's guard tells the waiting call.
        making = asyncio.ensure_future(self._client._await_with_session_monitoring(call))
        try:
            answer: CallToolResult | InputRequiredResult = await asyncio.shield(making)
        except asyncio.CancelledError:
            # Cancelled once, and in a task of its own: a run that ends cancels its tasks several times, and the second
            # time would stop the client from telling the gateway. A command would then go on for nobody.
            making.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({making}, timeout=GIVE_UP_S)
            raise
        return answer

    async def _lives(self) -> bool:
        """Whether the connection still answers."""
        from httpx2 import TransportError
        from mcp import MCPError

        with anyio.move_on_after(PROBE_S):
            try:
                await self._client._await_with_session_monitoring(self._client.session.list_tools())
            except MCPError as error:
                # Any other error is an answer, too.
                return bool(error.error.code != _CLOSED)
            except (RuntimeError, OSError, TransportError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                return False
            return True
        return False
