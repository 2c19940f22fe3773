"""Sends the requests of a login: to addresses that a server named, so each is checked, and each answer is limited.

An address must be https, or http on this machine. It is resolved here and connected to as resolved, so a name cannot
mean one machine when it is checked and another when it is used. No redirect leaves its host; a request with a secret
follows none. One request has one deadline, however slowly its answer comes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2

from lg_gateway.http_client.connection import KeptConnection
from lg_gateway.upstream_login.address_check import Network, network_of
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_policy.config.http import safe_url
from lg_policy.printing import visible

ANSWER_BYTES = 200_000
"""Of one answer of an authorization server, or of metadata."""
DEADLINE_S = 30.0
"""For one request, from the look-up of the name to the last byte."""
REDIRECTS = 3
URL_CHARACTERS = 2_000
_PORTS = {"http": 80, "https": 443}
_MOVED = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer. `body` is its JSON object; `None` where it is none."""

    status: int
    body: Mapping[str, Any] | None
    challenge: str = ""


class CheckedHttp:
    """Requests for one login. `trusted` are the addresses from the settings: their networks may be asked.

    A host that has its network asked must stay there itself. Otherwise a server on the Internet could have this
    machine asked by leading here for a moment.
    """

    def __init__(self, trusted: Iterable[str], deadline_s: float = DEADLINE_S, resolve: Resolve | None = None) -> None:
        self._trusted = tuple(trusted)
        self._deadline_s = deadline_s
        self._resolve = resolve or _addresses
        self._networks: dict[str, frozenset[Network]] = {}
        """Of each trusted host that was looked up."""
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str) -> Answered:
        """Fetch a document. Raises `LoginFailed` where the address is not allowed or does not answer."""
        first = checked_url(url)
        for _ in range(REDIRECTS + 1):
            answer, place = await self._request("GET", url, {}, b"")
            if answer.status not in _MOVED or not place:
                return answer
            url = checked_url(urljoin(url, place))
            if origin_of(url) != origin_of(first):
                raise LoginFailed(
                    f"{shown(first)} sends the gateway to another host, {shown(url)}; it does not go there"
                )
        raise LoginFailed(f"{shown(first)} redirects more than {REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send a form or a document, and follow no redirect. Raises `LoginFailed` as `get` does."""
        answer, _ = await self._request("POST", checked_url(url), headers, body)
        return answer

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Answered, str]:
        try:
            with anyio.fail_after(self._deadline_s):
                return await self._exchange(httpx2.Request(method, url, headers={**_HEADERS, **headers}, content=body))
        except TimeoutError:
            raise LoginFailed(f"{shown(url)} did not answer within {self._deadline_s:g} s") from None
        except (OSError, httpx2.TransportError, httpx2.InvalidURL, ValueError) as error:
            raise LoginFailed(f"cannot reach {shown(url)}: {str(error) or type(error).__name__}") from error

    async def _exchange(self, request: httpx2.Request) -> tuple[Answered, str]:
        connection = await self._connected(request.url)
        try:
            body = request.content
            await connection.send(request.method.encode(), request.url.raw_path, request.headers.raw, body, None)
            head = await connection.head(None)
            data = b""
            while (part := await connection.body(None)) is not None:
                data += part
                if len(data) > ANSWER_BYTES:
                    raise LoginFailed(f"{shown(str(request.url))} answered with more than {ANSWER_BYTES} bytes")
        finally:
            connection.close()
        found = httpx2.Headers(head.headers.raw_items())
        if found.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise LoginFailed(
                f"{shown(str(request.url))} compressed its answer, although the gateway did not ask for it"
            )
        challenge = found.get("www-authenticate", "")
        return Answered(status=head.status_code, body=_object(data), challenge=challenge), found.get("location", "")

    async def _connected(self, url: httpx2.URL) -> KeptConnection:
        host, port = url.host, url.port or _PORTS[url.scheme]
        tls: dict[str, Any] = {}
        if url.scheme == "https":
            tls = {"ssl": await self._context(), "server_hostname": host}
        error: OSError = OSError("its name has no address")
        for address in await self._allowed(host, port):
            try:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(KeptConnection, address, port, **tls)
            except OSError as failed:
                error = failed
                continue
            return connection
        raise error

    async def _allowed(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host. Raises `LoginFailed` if none of them may be asked."""
        found = await self._resolve(host, port)
        await self._look_up_trusted()
        own = self._networks.get(host.lower())
        networks = own or frozenset((Network.PUBLIC,)).union(*self._networks.values())
        allowed = [address for address in found if network_of(address) in networks]
        if found and not allowed and own:
            raise LoginFailed(
                f"the host {visible(host)} leads to another network than before, to {found[0]}; "
                "restart the gateway if that is right"
            )
        if found and not allowed:
            raise LoginFailed(
                f"the host {visible(host)} has the address {found[0]}, which is not on the public network; the server"
                " itself is not there, so the gateway does not ask it"
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
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)  # reads the certificates of the system
        return self._tls


_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}


def checked_url(url: str) -> str:
    """Return an address that a secret may travel to. Raises `LoginFailed` for any other."""
    try:
        if len(url) > URL_CHARACTERS or not url.isascii() or visible(url) != url or " " in url:
            raise ValueError(f"the address {shown(url)} has characters that no address has, or is too long")
        parts = urlsplit(safe_url(url))
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError(f"the address {shown(url)} has a user name or a fragment in it")
        _ = parts.port
    except ValueError as error:
        raise LoginFailed(str(error)) from None
    return url


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


def shown(url: str) -> str:
    """Return an address as a message shows it: without its query, which may hold a secret, and cut."""
    return visible(url.partition("?")[0].partition("#")[0][:300])


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(place[4][0]) for place in found))


def _object(data: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
