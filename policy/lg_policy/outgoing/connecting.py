"""Connects to a host: directly, or through a proxy, which is asked for a tunnel."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lg_policy.outgoing.proxies import Proxy, ProxyFailed
from lg_policy.printing import visible

HEAD_BYTES = 16_384
"""Of a proxy's answer."""
ATTEMPT_S = 0.25
"""How long one address of a host is tried before the next is tried beside it."""
_STATUS = re.compile(rb"HTTP/1\.[01] (?P<status>[0-9]{3})(?: (?P<reason>[^\r\n]*))?\r\n")
Made = TypeVar("Made", bound=asyncio.Protocol)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where to connect. `address` is what the name was looked up as, if it was; `tls` is for the host itself."""

    host: str
    port: int
    address: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """Return host and port as a proxy wants them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect(
    make: Callable[[], Made], to: Destination, proxy: Proxy | None = None, *, tunnel: bool = True
) -> tuple[asyncio.Transport, Made]:
    """Connect a protocol. Raises `OSError`, which is `ProxyFailed` where a proxy is at fault, and `ValueError`.

    Without `tunnel`, the protocol talks to the proxy itself.
    """
    loop = asyncio.get_running_loop()
    if proxy is None:
        named: dict[str, Any] = {"ssl": to.tls, "server_hostname": to.host} if to.tls is not None else {}
        place = to.address or to.host
        transport, made = await loop.create_connection(make, place, to.port, happy_eyeballs_delay=ATTEMPT_S, **named)
        return transport, made
    if not tunnel:
        return await _to_proxy(make, proxy)
    carrier, asking = await _to_proxy(_Tunnel, proxy)
    try:
        await _ask(carrier, asking, to, proxy)
        made = make()
        if to.tls is None:
            carrier.set_protocol(made)
            transport = carrier
        else:
            within = await loop.start_tls(carrier, made, to.tls, server_hostname=to.host)
            if within is None:
                raise ProxyFailed(f"{proxy} ended the connection to {to.authority}")
            transport = within
    except BaseException:
        carrier.abort()
        raise
    made.connection_made(transport)
    return transport, made


async def _to_proxy(make: Callable[[], Made], proxy: Proxy) -> tuple[asyncio.Transport, Made]:
    named: dict[str, Any] = {}
    if proxy.tls:
        named = {"ssl": await asyncio.to_thread(ssl.create_default_context), "server_hostname": proxy.host}
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_connection(make, proxy.host, proxy.port, happy_eyeballs_delay=ATTEMPT_S, **named)
    except (OSError, ValueError) as error:
        raise ProxyFailed(f"cannot reach {proxy}: {error}") from error


async def _ask(carrier: asyncio.Transport, asking: _Tunnel, to: Destination, proxy: Proxy) -> None:
    target = to.authority.encode("ascii")
    lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target]
    if proxy.authorization:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    carrier.write(b"\r\n".join([*lines, b"", b""]))
    head = await asking.answer
    found = _STATUS.match(head)
    status = int(found["status"]) if found is not None else 0
    if status == 200:
        return
    if found is None:
        raise ProxyFailed(f"{proxy} gave no answer to the request for {to.authority}")
    said = visible((found["reason"] or b"").decode("latin-1")[:100])
    hint = "; write user and password into the variable" if status == 407 else ""
    raise ProxyFailed(f"{proxy} refused a connection to {to.authority}: {status} {said}".rstrip() + hint)


class _Tunnel(asyncio.Protocol):
    """Waits for a proxy's answer. What it sends behind that is for the protocol that follows: nobody has asked yet."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._head = bytearray()

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > HEAD_BYTES:
            self._answered(bytes(self._head))

    def eof_received(self) -> bool:
        self._answered(b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the interface's signature
        self._answered(b"")

    def _answered(self, head: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(head)
