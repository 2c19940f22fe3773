"""Transports FastMCP over streams that are already open, so that a server can start before FastMCP is imported."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from fastmcp.client.transports.base import ClientTransport, SessionKwargs, TransportOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp import ClientSession
    from mcp.client._transport import TransportStreams


class StreamsTransport(ClientTransport):
    """Serves one session; when the streams end there is no second one."""

    def __init__(self, streams: TransportStreams) -> None:
        self._streams = streams

    @asynccontextmanager
    async def connect_session(
        self, *, transport_options: TransportOptions | None = None, **session_kwargs: Unpack[SessionKwargs]
    ) -> AsyncIterator[ClientSession]:
        """Yield a session on the streams."""
        options = transport_options or TransportOptions()
        read, write = self._streams
        async with options.session_class(read, write, **session_kwargs) as session:
            yield session
