"""Reads the head of a request to a proxy. Pure; the head has been limited in size before."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOP = frozenset(b"connection proxy-connection proxy-authorization keep-alive te upgrade host".split())
"""Headers that end here."""
_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9A-Za-z._-]+))(?::(?P<port>[0-9]{1,5}))?")
HTTP_PORT = 80
_TARGET = re.compile(rb"[^\x00-\x20\x7f]+")
"""A line feed alone would end the line for some servers."""


class BadRequest(Exception):
    """The bytes are not a request that this proxy takes; the text says why."""


@dataclass(frozen=True, kw_only=True)
class ProxyRequest:
    """One request. `forwarded` is the head that goes to the host; empty for a tunnel.

    `body_bytes` is how much may follow it: `None` for a tunnel, or where the body says itself where it ends.
    """

    host: str
    port: int
    is_tunnel: bool
    forwarded: bytes = b""
    body_bytes: int | None = None

    @property
    def target(self) -> str:
        """Return host and port as they are written in the settings."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def for_proxy(self, authorization: bytes) -> bytes:
        """Return the head for another proxy, which wants the whole address. `authorization` is ours for that proxy."""
        method, _, rest = self.forwarded.partition(b" ")
        line, _, headers = rest.partition(b"\r\n")
        login = b"Proxy-Authorization: %b\r\n" % authorization if authorization else b""
        return b"%b http://%b%b\r\n%b%b" % (method, self.target.encode("ascii"), line, login, headers)


def read_request(head: bytes) -> ProxyRequest:
    """Read a head that ends with an empty line. Raises `BadRequest`."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not _TOKEN.fullmatch(words[0]):
        raise BadRequest("this is not a request to an HTTP proxy")
    if not _TARGET.fullmatch(words[1]):
        raise BadRequest("the address has a control character in it")
    method, target = words[0], words[1].decode("latin-1")
    if method == b"CONNECT":
        host, port = _authority(target, None)
        return ProxyRequest(host=host, port=port, is_tunnel=True)
    if not target.lower().startswith("http://"):
        raise BadRequest("this proxy takes CONNECT HOST:PORT, and addresses that begin with http://")
    authority = re.split(r"[/?#]", target[7:], maxsplit=1)[0]
    path = target[7 + len(authority) :].removeprefix("/")
    host, port = _authority(authority, HTTP_PORT)
    headers = [_header(line) for line in lines]
    kept = [line for name, line in headers if name not in _HOP]
    start = b"%s /%s HTTP/1.1" % (method, path.encode("latin-1"))
    whole = [start, b"Host: " + authority.encode("latin-1"), *kept, b"Connection: close", b"", b""]
    forwarded = b"\r\n".join(whole)
    return ProxyRequest(host=host, port=port, is_tunnel=False, forwarded=forwarded, body_bytes=_body(headers))


def _authority(text: str, default: int | None) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(text)
    port = int(found["port"]) if found is not None and found["port"] else default
    if found is None or port is None or not 0 < port < 65536:
        raise BadRequest("the request does not say HOST:PORT")
    return found["six"] or found["host"], port


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name) or b"\r" in value or b"\n" in value or b"\0" in value:
        raise BadRequest("a header line is malformed")
    return name.lower(), line


def _body(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Return how many bytes follow the head. Raises `BadRequest` where that is said twice."""
    lengths = [line.partition(b":")[2].strip() for name, line in headers if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    if len(lengths) > 1 or (lengths and chunked):
        raise BadRequest("the request says twice how long it is")
    if chunked:
        return None
    if not lengths:
        return 0
    if not (lengths[0].isdigit() and len(lengths[0]) <= 15):
        raise BadRequest("the request does not say how long it is")
    return int(lengths[0])
