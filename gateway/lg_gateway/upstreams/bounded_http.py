"""HTTP answers of servers, none longer than a message may be: an endless one ends its connection, not the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from lg_gateway.upstreams.stdio import MESSAGE_BYTES


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Passes requests on to `inner` and counts what comes back. `limit` is in bytes, of one message."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, limit: int = MESSAGE_BYTES) -> None:
        self._inner = inner
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Reading its answer raises `ReadError` once a message of it is too long.

        Raises it at once for a compressed answer, which was not asked for: it is counted before it is unpacked.
        """
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await response.aclose()
            raise httpx2.ReadError("a compressed answer, which was not asked for")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            events = response.headers.get("content-type", "").strip().lower().startswith("text/event-stream")
            response.stream = _Bounded(response.stream, self._limit, events=events)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """Counts the bytes of an answer; of one that is a stream of events, those since the last empty line."""

    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, *, events: bool) -> None:
        self._inner = inner
        self._limit = limit
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        since = 0
        async for data in self._inner:
            end = max(data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")) if self._events else -1
            since = since + len(data) if end < 0 else len(data) - end
            if since > self._limit:
                raise httpx2.ReadError(f"a message of more than {self._limit} bytes")
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()
