"""A small HTTP proxy on a Unix socket: the only way out of a sandbox. It connects to named hosts and to nothing else.

It takes `CONNECT HOST:PORT`, and plain HTTP requests with the whole address. It looks a name up itself, checks each
address that it gets, and connects to exactly that address: a name that leads elsewhere a moment later gains nothing.
If the gateway's own environment names a proxy for the address, it connects through that one, which looks the name up
once more.

Not covered: what a program sends to a host that it may reach, and which name it asks for inside TLS. Of a server that
serves many names (a CDN), all of them can be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from lg_gateway.confinement.hosts import Address, HostRules, embedded, plain_name
from lg_gateway.confinement.private_socket import private_server
from lg_gateway.confinement.refused_hosts import RefusedHosts
from lg_gateway.confinement.requests import BadRequest, ProxyRequest, read_request
from lg_policy.outgoing.connecting import Destination, connect
from lg_policy.outgoing.proxies import Proxies, Proxy

log = logging.getLogger(__name__)

HEAD_BYTES = 16_384
HEAD_S = 30.0
CONNECT_S = 20.0
LOOK_UP_S = 3.0
"""For looking up a name that the proxy of the environment connects to. There may be no name server that knows it."""
IDLE_S = 600.0
END_S = 1.0
"""For the connections to end when the proxy does, before they are told again."""
CONNECTIONS = 128
CHUNK = 65_536

_PHRASES = {
    400: "Not a request to a proxy", 403: "Host not named in network", 408: "No whole request in time",
    431: "Head too long", 502: "Cannot connect", 503: "Too many connections", 504: "No answer in time",
}  # fmt: skip

_LOOK_UPS = ThreadPoolExecutor(4, thread_name_prefix="lg-confined-names")
"""Threads for names that confined programs ask for. A name server of theirs that never answers holds up no others."""

Resolve = Callable[[str, int], Awaitable[list[Address]]]


async def look_up(host: str, port: int) -> list[Address]:
    """Return the addresses of a name. Raises `OSError`."""
    find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, find)
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))


class EgressProxy:
    """The proxy of one program. `owner` names it in messages; `add_with` says how a host is added to its rules.

    `keep` is a file for the hosts that were refused.
    """

    def __init__(
        self,
        rules: HostRules,
        *,
        owner: str,
        add_with: str,
        resolve: Resolve = look_up,
        keep: str | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self.refused = RefusedHosts(keep)
        self._rules = rules
        self._owner = owner
        self._add_with = add_with
        self._resolve = resolve
        self._proxies = proxies or Proxies()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, path: str) -> None:
        """Listen on a Unix socket at `path`, which may be long. Raises `OSError`."""
        self._server = await private_server(path, self._accept, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        while self._connections:  # each end of a connection waits for its peer, and is told of its own
            for task in self._connections:
                task.cancel()
            await asyncio.wait(set(self._connections), timeout=END_S)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._served(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > CONNECTIONS:
                await _answer(writer, 503, f"more than {CONNECTIONS} connections are open")
            else:
                await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            log.debug("%s: a connection broke", self._owner, exc_info=True)
        finally:
            await _end(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                request = read_request(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            await _answer(writer, 431, f"the head of the request has more than {HEAD_BYTES} bytes")
        except TimeoutError:
            await _answer(writer, 408, f"no whole request within {HEAD_S:g} s")
        except BadRequest as error:
            await _answer(writer, 400, str(error))
        else:
            await self._connect(request, reader, writer)

    async def _connect(self, request: ProxyRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = plain_name(request.host)
        if host is None or not self._rules.allows_name(host, request.port):
            await self._refuse(writer, request, "is not a host that it may reach")
            return
        try:
            async with asyncio.timeout(CONNECT_S):
                proxy = self._proxies.proxy_for("https" if request.is_tunnel else "http", host, request.port)
                addresses = await self._addresses(host, request.port, proxy)
                allowed = [found for found in addresses if self._rules.allows_address(found, request.port)]
                if not allowed and (addresses or proxy is None):
                    first = str(embedded(addresses[0])) if addresses else ""
                    why = f"leads to {first}, which is not a public address" if first else "has no address"
                    await self._refuse(writer, request, why, add=first)
                    return
                far_reader, far_writer = await _open(request, host, allowed, proxy)
        except TimeoutError:
            await _answer(writer, 504, f"{request.target} did not answer within {CONNECT_S:g} s")
        except (OSError, UnicodeError) as error:
            await _answer(writer, 502, f"cannot connect to {request.target}: {error}")
        else:
            try:
                await _relay(request, reader, writer, far_reader, far_writer, proxy)
            finally:
                await _end(far_writer)

    async def _addresses(self, host: str, port: int, proxy: Proxy | None) -> list[Address]:
        """Look a name up. One that only the proxy of the environment knows has none here. Raises `OSError`."""
        if proxy is None:
            return await self._resolve(host, port)
        try:
            async with asyncio.timeout(LOOK_UP_S):
                return await self._resolve(host, port)
        except (OSError, UnicodeError):  # the time-out is one too
            return []

    async def _refuse(self, writer: asyncio.StreamWriter, request: ProxyRequest, why: str, *, add: str = "") -> None:
        """Refuse a request. `add` is the address that would have to be named beside the host."""
        shown = request.target[:300]
        missing = replace(request, host=add).target if add else shown
        hint = self._add_with.replace("{host}", missing.removesuffix(":443").removesuffix(":80"))
        if self.refused.add(shown):
            log.warning("%s was kept from %r, which %s; %s", self._owner, shown, why, hint)
        await _answer(writer, 403, f"{shown} {why}; {hint}")


async def _open(
    request: ProxyRequest, host: str, addresses: list[Address], proxy: Proxy | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers, or through a proxy. Raises the last failure."""
    failure: OSError = OSError("no address")
    for address in map(str, addresses) if proxy is None else [""]:
        reader = asyncio.StreamReader(limit=CHUNK)
        make = partial(asyncio.StreamReaderProtocol, reader)
        to = Destination(host=host, port=request.port, address=address)
        try:
            transport, protocol = await connect(make, to, proxy, tunnel=request.is_tunnel)
        except OSError as error:
            failure = error
            continue
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    raise failure


async def _relay(
    request: ProxyRequest,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    proxy: Proxy | None,
) -> None:
    """Carry bytes both ways until both sides have ended, or nothing has come for a while."""
    if request.is_tunnel:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        far_writer.write(request.forwarded if proxy is None else request.for_proxy(proxy.authorization))
    up = asyncio.ensure_future(_pump(reader, far_writer, request.body_bytes))
    down = asyncio.ensure_future(_pump(far_reader, writer, None))
    try:
        if request.is_tunnel:
            await asyncio.gather(up, down)
        else:
            await down  # the whole answer; the request may still be on its way when the host has refused it
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
    while left is None or left > 0:
        async with asyncio.timeout(IDLE_S):
            data = await reader.read(CHUNK if left is None else min(CHUNK, left))
        if not data:
            break
        left = None if left is None else left - len(data)
        writer.write(data)
        await writer.drain()
    if left is None and writer.can_write_eof():
        writer.write_eof()


async def _answer(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    body = (text + "\n").encode("utf-8", "replace")
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("ascii") + body)
    await writer.drain()


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection. What its peer does not take in time, or before this is cancelled, is lost."""
    writer.close()
    try:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(IDLE_S):
                await writer.wait_closed()
    finally:
        writer.transport.abort()
