"""Sends requests to addresses that others named, so each is checked, and each answer is limited.

Logins at servers, the keys of an issuer of tokens, and the console's identity provider: all go through here.

An address must be https, or http on this machine. It is resolved here and connected to as resolved, so a name cannot
mean one machine when it is checked and another when it is used. No redirect leaves its host; a request with a secret
follows none. One request has one deadline, however slowly its answer comes.

Through a proxy of the environment, the proxy looks the name up. What the name means here is checked nevertheless.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import h11

from lg_policy.config.http import safe_url
from lg_policy.outgoing.connecting import Destination, connect
from lg_policy.outgoing.networks import Network, network_of
from lg_policy.outgoing.proxies import Proxies, Proxy
from lg_policy.printing import visible

ANSWER_BYTES = 200_000
"""Of one answer."""
HEAD_BYTES = 100_000
DEADLINE_S = 30.0
"""For one request, from the look-up of the name to the last byte."""
LOOK_UP_S = 3.0
"""For looking up a name that a proxy connects to. Behind a proxy, there may be no name server that knows it."""
REDIRECTS = 3
CHUNK = 65_536
URL_CHARACTERS = 2_000
_PORTS = {"http": 80, "https": 443}
_MOVED = (301, 302, 303, 307, 308)
_LOOK_UPS = ThreadPoolExecutor(4, thread_name_prefix="lg-names")
"""Threads that look up names. They end no later because the loop that asked has ended."""
Resolve = Callable[[str, int], Awaitable[list[str]]]


class RequestFailed(Exception):
    """An address was not asked, or gave no answer that can be used. The message says why and holds no secret."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer. `body` is its JSON object; `None` where it is none."""

    status: int
    body: Mapping[str, Any] | None
    challenge: str = ""


class CheckedHttp:
    """Requests for one purpose. `trusted` are the addresses from the settings: their networks may be asked.

    A host that has its network asked must stay there itself. Otherwise a server on the Internet could have this
    machine asked by leading here for a moment.
    """

    failure: type[Exception] = RequestFailed

    def __init__(
        self,
        trusted: Iterable[str],
        deadline_s: float = DEADLINE_S,
        resolve: Resolve | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._trusted = tuple(trusted)
        self._deadline_s = deadline_s
        self._resolve = resolve or _addresses
        self._proxies = proxies or Proxies()
        self._networks: dict[str, frozenset[Network]] = {}
        """Of each trusted host that was looked up."""
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str) -> Answered:
        """Fetch a document. Raises `failure` where the address is not allowed or does not answer."""
        first = self._checked(url)
        for _ in range(REDIRECTS + 1):
            answer, place = await self._request("GET", url, {}, b"")
            if answer.status not in _MOVED or not place:
                return answer
            url = self._checked(urljoin(url, place))
            if origin_of(url) != origin_of(first):
                raise self.failure(f"{shown(first)} leads to another host, {shown(url)}; that one is not asked")
        raise self.failure(f"{shown(first)} redirects more than {REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send a form or a document, and follow no redirect. Raises `failure` as `get` does."""
        answer, _ = await self._request("POST", self._checked(url), headers, body)
        return answer

    def _checked(self, url: str) -> str:
        try:
            return checked_url(url)
        except RequestFailed as error:
            raise self.failure(str(error)) from None

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Answered, str]:
        try:
            with anyio.fail_after(self._deadline_s):
                return await self._exchange(method, url, {**_HEADERS, **headers}, body)
        except TimeoutError:
            raise self.failure(f"{shown(url)} did not answer within {self._deadline_s:g} s") from None
        except (OSError, h11.ProtocolError, ValueError) as error:
            raise self.failure(f"cannot reach {shown(url)}: {str(error) or type(error).__name__}") from error

    async def _exchange(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[Answered, str]:
        parts = urlsplit(url)
        if body or method == "POST":
            headers["Content-Length"] = str(len(body))
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        asked = h11.Request(
            method=method.encode(),
            target=(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/").encode(),
            headers=[("Host", parts.netloc), *headers.items()],
        )
        events = (asked, h11.Data(body), h11.EndOfMessage()) if body else (asked, h11.EndOfMessage())
        transport, reader = await self._connected(parts)
        try:
            transport.write(b"".join(wire.send(event) or b"" for event in events))
            head = await _next_event(wire, reader)
            while isinstance(head, h11.InformationalResponse):
                head = await _next_event(wire, reader)
            if not isinstance(head, h11.Response):
                raise self.failure(f"{shown(url)} ended the connection without an answer")
            found = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
            data = await self._body(wire, reader, url)
        finally:
            transport.abort()
        if _header(found, "content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise self.failure(f"{shown(url)} compressed its answer, although nobody asked for that")
        challenge = _header(found, "www-authenticate", "")
        place = _header(found, "location", "")
        return Answered(status=head.status_code, body=_object(data), challenge=challenge), place

    async def _body(self, wire: h11.Connection, reader: asyncio.StreamReader, url: str) -> bytes:
        data = bytearray()
        while isinstance(event := await _next_event(wire, reader), h11.Data):
            data += event.data
            if len(data) > ANSWER_BYTES:
                raise self.failure(f"{shown(url)} answered with more than {ANSWER_BYTES} bytes")
        return bytes(data)

    async def _connected(self, url: SplitResult) -> tuple[asyncio.Transport, asyncio.StreamReader]:
        host, port = (url.hostname or "").lower(), url.port or _PORTS[url.scheme]
        tls = await self._context() if url.scheme == "https" else None
        proxy = self._proxies.proxy_for(url.scheme, host, port)
        error: OSError = OSError("its name has no address")
        for address in await self._allowed(host, port, proxy):
            to = Destination(host=host, port=port, address=address, tls=tls)
            reader = asyncio.StreamReader()
            try:
                transport, _ = await connect(partial(asyncio.StreamReaderProtocol, reader), to, proxy)
            except OSError as failed:
                error = failed
                continue
            return transport, reader
        raise error

    async def _allowed(self, host: str, port: int, proxy: Proxy | None) -> list[str]:
        """Return the addresses of a host, `""` for one that a proxy looks up. Fails if none of them may be asked."""
        if proxy is None:
            return await self._checked_addresses(host, port)
        with anyio.move_on_after(min(LOOK_UP_S, self._deadline_s)):
            await self._checked_addresses(host, port)
        return [""]

    async def _checked_addresses(self, host: str, port: int) -> list[str]:
        found = await self._resolve(host, port)
        await self._look_up_trusted()
        own = self._networks.get(host.lower())
        networks = own or frozenset((Network.PUBLIC,)).union(*self._networks.values())
        allowed = [address for address in found if network_of(address) in networks]
        if found and not allowed and own:
            raise self.failure(
                f"the host {visible(host)} leads to another network than before, to {found[0]}; "
                "restart this program if that is right"
            )
        if found and not allowed:
            raise self.failure(
                f"the host {visible(host)} has the address {found[0]}, which is not on the public network; the server"
                " itself is not there, so it is not asked"
            )
        return allowed

    async def _look_up_trusted(self) -> None:
        """Find out on which networks the trusted hosts are. One that has no address now is looked up again later."""
        for url in self._trusted:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
            if host in self._networks:
                continue
            with anyio.move_on_after(self._deadline_s):
                found = await self._resolve(host, parts.port or _PORTS[parts.scheme])
                own = frozenset(network for address in found if (network := network_of(address)) is not None)
                if own:
                    # A name with a public address as well is on the Internet, whatever its owner writes beside it.
                    self._networks[host] = frozenset((Network.PUBLIC,)) if Network.PUBLIC in own else own

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(_system_certificates)  # reads the certificates of the system
        return self._tls


_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}


def checked_url(url: str) -> str:
    """Return an address that a secret may travel to. Raises `RequestFailed` for any other."""
    try:
        if len(url) > URL_CHARACTERS or not url.isascii() or visible(url) != url or " " in url:
            raise ValueError(f"the address {shown(url)} has characters that no address has, or is too long")
        parts = urlsplit(safe_url(url))
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError(f"the address {shown(url)} has a user name or a fragment in it")
        _ = parts.port
    except ValueError as error:
        raise RequestFailed(str(error)) from None
    return url


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


def shown(url: str) -> str:
    """Return an address as a message shows it: without its query, which may hold a secret, and cut."""
    return visible(url.partition("?")[0].partition("#")[0][:300])


async def _addresses(host: str, port: int) -> list[str]:
    find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, find)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(place[4][0]) for place in found))


async def _next_event(wire: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """Return what comes next of an answer. Raises `RemoteProtocolError` for what is no HTTP."""
    while (event := wire.next_event()) is h11.NEED_DATA:
        wire.receive_data(await reader.read(CHUNK))
    return event


def _header(headers: Iterable[tuple[str, str]], wanted: str, default: str) -> str:
    """Return the values of a header, as one."""
    return ", ".join(value for name, value in headers if name.lower() == wanted) or default


def _system_certificates() -> ssl.SSLContext:
    import httpx2

    return httpx2.create_ssl_context()  # with the certificates that all HTTP clients of this program trust


def _object(data: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
