"""Sends HTTP requests to servers over kept-alive connections: the transport of the gateway's HTTP clients.

The pool of httpx2 looks at every connection for each request, which costs more than the request. This one keeps a list.
It speaks HTTP/1.1, trusts the certificates that httpx2 trusts, and raises what httpx2 raises. A request goes through
the proxy that the environment names for its address.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpx2

from lg_gateway.http_client.connection import Headers, KeptConnection
from lg_policy.outgoing.connecting import Destination, connect
from lg_policy.outgoing.proxies import Proxies, Proxy

AT_ONCE = 256
"""Requests to one server at once; more wait. More than one caller may have (`gateway.calls_at_once`), so that a caller
whose calls hang holds up nobody else's."""
KEPT = 20
"""Connections that are kept for another request."""
KEPT_S = 30.0
"""How long one is kept."""
_PORTS = {"http": 80, "https": 443}


class HttpPool(httpx2.AsyncBaseTransport):
    """The connections of one client. A request that no one has taken is sent again over a new connection."""

    def __init__(self, proxies: Proxies | None = None) -> None:
        self._proxies = proxies or Proxies()
        self._idle: dict[tuple[str, str, int], list[KeptConnection]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tls: ssl.SSLContext | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, whose body is still to be read.

        Raises `ConnectError`, `ConnectTimeout` or `PoolTimeout` where nobody has taken a byte of it, and another
        `TransportError` where somebody may have acted on it.
        """
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        body = await request.aread()
        try:
            async with asyncio.timeout(limits.get("pool")):
                await self._turns.acquire()
        except TimeoutError:
            raise httpx2.PoolTimeout("too many requests wait for this server") from None
        try:
            return await self._exchange(request, body, limits)
        except BaseException:
            self._turns.release()
            raise

    async def _exchange(self, request: httpx2.Request, body: bytes, limits: dict[str, float | None]) -> httpx2.Response:
        host, scheme = request.url.raw_host.decode("ascii"), request.url.scheme
        origin = (scheme, host, request.url.port or _PORTS[scheme])
        proxy = self._proxy(origin)
        target, headers = _as_sent(request, proxy)
        connection = self._kept(origin)
        while True:
            kept = connection is not None
            if connection is None:
                connection = await self._connect(origin, proxy, limits.get("connect"))
            try:
                await connection.send(request.method.encode(), target, headers, body, limits.get("write"))
                head = await connection.head(limits.get("read"))
            except BaseException as error:
                connection.close()
                if not isinstance(error, httpx2.TransportError) or not connection.took_nothing:
                    raise
                if not kept:
                    raise httpx2.ConnectError("the server closed the connection before it took the request") from error
                connection = None
                self._drop(origin)  # the others have been kept as long
                continue
            stream = _Body(self, origin, connection, limits.get("read"))
            return httpx2.Response(
                head.status_code,
                headers=head.headers.raw_items(),
                stream=stream,
                extensions={"http_version": b"HTTP/" + head.http_version, "reason_phrase": bytes(head.reason)},
            )

    def _kept(self, origin: tuple[str, str, int]) -> KeptConnection | None:
        kept, now = self._idle.get(origin, []), asyncio.get_running_loop().time()
        while kept:
            connection = kept.pop()
            if connection.usable and now - connection.idle_since < KEPT_S:
                return connection
            connection.close()
        return None

    def _drop(self, origin: tuple[str, str, int]) -> None:
        for connection in self._idle.pop(origin, []):
            connection.close()

    def _proxy(self, origin: tuple[str, str, int]) -> Proxy | None:
        try:
            return self._proxies.proxy_for(*origin)
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error

    async def _connect(
        self, origin: tuple[str, str, int], proxy: Proxy | None, timeout_s: float | None
    ) -> KeptConnection:
        scheme, host, port = origin
        tls = await self._context() if scheme == "https" else None
        try:
            async with asyncio.timeout(timeout_s):
                to = Destination(host=host, port=port, tls=tls)
                _, connection = await connect(KeptConnection, to, proxy, tunnel=tls is not None)
        except TimeoutError:
            raise httpx2.ConnectTimeout(f"no connection within {timeout_s:g} s") from None
        except (OSError, ssl.SSLError, ValueError) as error:
            raise httpx2.ConnectError(str(error)) from error
        return connection

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = await asyncio.to_thread(httpx2.create_ssl_context)  # reads the certificates of the system
            context.set_alpn_protocols(["http/1.1"])
            self._tls = context
        return self._tls

    def answered(self, origin: tuple[str, str, int], connection: KeptConnection) -> None:
        """Take back a connection whose answer has been read, or left."""
        self._turns.release()
        kept = self._idle.setdefault(origin, [])
        if self._closed or len(kept) >= KEPT or not connection.next_cycle():
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        kept.append(connection)

    def ended(self, connection: KeptConnection) -> None:
        """Close a connection whose answer is not wanted any more."""
        self._turns.release()
        connection.close()

    async def aclose(self) -> None:
        """Close the connections that are kept; one in use is closed by its user."""
        self._closed = True
        for origin in list(self._idle):
            self._drop(origin)


def _as_sent(request: httpx2.Request, proxy: Proxy | None) -> tuple[bytes, Headers]:
    """Return target and headers of a request: a proxy that carries no tunnel gets the whole address."""
    if proxy is None or request.url.scheme == "https":
        return request.url.raw_path, request.headers.raw
    url = request.url
    more = [(b"Proxy-Authorization", proxy.authorization)] if proxy.authorization else []
    return b"http://" + url.netloc + url.raw_path, [*request.headers.raw, *more]


class _Body(httpx2.AsyncByteStream):
    """The body of one answer."""

    def __init__(
        self, pool: HttpPool, origin: tuple[str, str, int], connection: KeptConnection, timeout_s: float | None
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._connection: KeptConnection | None = connection
        self._timeout_s = timeout_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            data = await connection.body(self._timeout_s)
        except httpx2.TransportError:
            await self.aclose()
            raise
        if data is not None:
            return data
        if self._connection is not None:
            self._connection = None
            self._pool.answered(self._origin, connection)
        raise StopAsyncIteration

    def leave(self) -> None:
        """End reading: what the caller waited for has come. The connection is kept if the answer ends soon."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave(lambda: self._pool.answered(self._origin, connection))

    async def aclose(self) -> None:
        """End reading at once. To a server of protocol 2026 that means that the request is cancelled."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.ended(connection)
