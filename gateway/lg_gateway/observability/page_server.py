"""Serves a few pages to programs of this machine: a line of HTTP in, one page out, then the connection is closed.

It is small so that a gateway on stdio can have one without loading a web server.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress

log = logging.getLogger(__name__)

HEAD_BYTES = 8_192
HEAD_S = 5.0
"""Seconds for the head of a request."""
AT_ONCE = 32
"""Connections that are served at the same time. Further ones are closed."""
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 421: "Misdirected Request"}

Page = Callable[[Mapping[str, str]], Awaitable[tuple[str, bytes]]]
"""Takes the headers of a request; returns the type of a page and its text."""


class PageServer:
    """Serves `pages` by path. `hosts`: the names that `Host` may have besides addresses; `None` asks for none."""

    def __init__(self, pages: Mapping[str, Page], hosts: Collection[str] | None = None) -> None:
        self._pages = pages
        self._hosts = hosts
        self._serving = 0

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on a listening socket for the length of the block; closes it."""
        listener.setblocking(False)
        start = asyncio.start_unix_server if listener.family == socket.AF_UNIX else asyncio.start_server
        server = await start(self._connected, sock=listener, limit=HEAD_BYTES)
        try:
            yield
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving += 1
        try:
            if self._serving <= AT_ONCE:
                writer.write(await self._answer(reader))
                async with asyncio.timeout(HEAD_S):
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("a request for a page was not answered: %s", error)
        finally:
            self._serving -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(HEAD_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.LimitOverrunError:
            return _response(400)
        method, _, rest = head[0].partition(" ")
        page = self._pages.get(rest.partition(" ")[0].partition("?")[0])
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
        if not rest.endswith(("HTTP/1.1", "HTTP/1.0")):
            return _response(400)
        if not self._may_ask([value for name, value in pairs if name == "host"]):
            return _response(421)
        if method not in ("GET", "HEAD"):
            return _response(405)
        if page is None:
            return _response(404)
        kind, body = await page(dict(pairs))
        return _response(200, kind, body, bodiless=method == "HEAD")

    def _may_ask(self, given: list[str]) -> bool:
        """Return whether the request names a host of ours: a web page of another's reaches us under another's name."""
        if self._hosts is None:
            return True
        return len(given) == 1 and (is_address(given[0]) or _name(given[0]) in self._hosts)


def is_address(host: str) -> bool:
    """Return whether a `Host` value is an address and no name: no name server could have pointed it at us."""
    with suppress(ValueError):
        ipaddress.ip_address(_name(host).strip("[]"))
        return True
    return False


def _name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _response(
    status: int, kind: str = "text/plain; charset=utf-8", body: bytes = b"", *, bodiless: bool = False
) -> bytes:
    text = body if status == 200 else f"{_REASONS[status]}\n".encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if bodiless else text)
