"""Which proxy a request goes through. All parts that send HTTP ask here, so that one rule holds for all of them.

The variables are those of curl: `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`, each in small or in capital
letters. If both are set, the small one counts. No request to this machine goes through a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from lg_policy.config.http import is_loopback
from lg_policy.printing import visible

_PORTS = {"http": 80, "https": 443}
ENTRIES = 1_000
"""Entries of `no_proxy` that are looked at."""
_PORT = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})")


class ProxyFailed(OSError):
    """A proxy that the environment names cannot be used, or refused a connection. No message holds its password."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy, and which variable names it."""

    host: str
    port: int
    variable: str
    tls: bool = False
    authorization: bytes = field(default=b"", repr=False)
    """The value of `Proxy-Authorization`; empty without a user name."""

    def __str__(self) -> str:
        return f"the proxy {visible(self.host)}:{self.port} ({self.variable})"


class Proxies:
    """The proxies of one environment, by default this process's."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._read: dict[tuple[str, str], Proxy | None] = {}

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an address; `None` to connect directly. Raises `ProxyFailed` for one that is none."""
        if _is_this_machine(host):
            return None
        variable, written = self._named(f"{scheme}_proxy")
        if not variable:
            variable, written = self._named("all_proxy")
        if not written or excepted(self._named("no_proxy")[1], host, port):
            return None
        key = (variable, written)
        if key not in self._read:
            self._read[key] = read_proxy(written, variable)
        return self._read[key]

    def _named(self, name: str) -> tuple[str, str]:
        """Return a variable and its value. One that is set and empty means no proxy."""
        for variable in (name, name.upper()):
            if variable in self._environ:
                return variable, self._environ[variable].strip()
        return "", ""


def read_proxy(written: str, variable: str) -> Proxy:
    """Read the value of a variable, such as `http://user:password@proxy.example.com:3128`. Raises `ProxyFailed`."""
    text = written if "://" in written else f"http://{written}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in _PORTS:
        kind = visible(parts.scheme[:20]) or "no"
        raise ProxyFailed(f"{variable} names a proxy of the kind {kind!r}; write http://HOST:PORT")
    if not host or visible(host) != host or " " in host:
        raise ProxyFailed(f"{variable} names no proxy; write http://HOST:PORT")
    authorization = b""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode("utf-8", "surrogateescape"))
    return Proxy(
        host=host,
        port=port or _PORTS[parts.scheme],
        variable=variable,
        tls=parts.scheme == "https",
        authorization=authorization,
    )


def _is_this_machine(host: str) -> bool:
    """Whether a connection to a host stays on this machine, in whatever form its name or address is written."""
    name = host.lower().strip("[]").removesuffix(".")
    if is_loopback(name) or name.endswith(".localhost"):
        return True
    with suppress(OSError, ValueError):
        return ipaddress.IPv4Address(socket.inet_aton(name)).is_loopback  # such as 127.1, as `connect` reads it
    with suppress(ValueError):
        inner = ipaddress.IPv6Address(name).ipv4_mapped
        return inner is not None and inner.is_loopback
    return False


def excepted(no_proxy: str, host: str, port: int) -> bool:
    """Return whether `no_proxy` names a host: itself, a domain above it, its network, or `*`. Pure."""
    name = host.lower().rstrip(".")
    entries = no_proxy.replace(",", " ").lower().split()[:ENTRIES]
    return any(_names(entry, name, port) for entry in entries)


def _names(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    found = _PORT.fullmatch(entry) if entry.count(":") == 1 or entry.startswith("[") else None
    if found is not None:
        if int(found["port"]) != port:
            return False
        entry = found["host"]
    entry = entry.strip("[]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        return bool(domain) and (name == domain or name.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
