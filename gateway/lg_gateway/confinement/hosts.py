"""Which hosts a confined program may reach: patterns of names, addresses and ports. Pure, without any look-up.

`api.example.com` is that name on the ports 80 and 443. `*.example.org` is every name below it, not itself. `:PORT`
after either one names another port. `*` is every name. An address or a network such as `10.0.0.0/8` is written as it
is, IPv6 in brackets: `[::1]:8080`.

A name is one thing and the address that it leads to another. Addresses that are not public (loopback, private,
link-local, multicast) are refused, whatever name leads there, unless the address itself is named too. `localhost`
names the loopback addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_PORTS = frozenset((80, 443))
NAME_CHARACTERS = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
_FORM = "write HOST, *.DOMAIN or an address, each with :PORT behind it if the port is not 80 or 443"


@dataclass(frozen=True, kw_only=True)
class HostPattern:
    """One entry of `network`: a name or a network, and ports. `below`: the names below `name`, every name if empty."""

    name: str = ""
    below: bool = False
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = DEFAULT_PORTS

    def names(self, host: str) -> bool:
        """Return whether a host name, in its plain form, matches."""
        if self.below:
            return host.endswith(f".{self.name}") if self.name else True
        return bool(self.name) and host == self.name

    def holds(self, address: Address) -> bool:
        """Return whether an address is named."""
        return any(address.version == network.version and address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True)
class HostRules:
    """All entries of one program."""

    patterns: tuple[HostPattern, ...]

    @property
    def names_loopback(self) -> bool:
        """Return whether a loopback address is named."""
        named = [network for pattern in self.patterns for network in pattern.networks]
        return any(own.version == network.version and own.overlaps(network) for own in named for network in _LOOPBACK)

    def allows_name(self, host: str, port: int) -> bool:
        """Return whether a host may be asked for: by a name that matches, or by an address that is named."""
        address = address_of(host)
        if address is not None:
            return self.allows_address(address, port, named_only=True)
        return any(port in pattern.ports and pattern.names(host) for pattern in self.patterns)

    def allows_address(self, address: Address, port: int, *, named_only: bool = False) -> bool:
        """Return whether an address may be connected to, once the name that led to it is allowed."""
        address = embedded(address)
        if any(port in pattern.ports and pattern.holds(address) for pattern in self.patterns):
            return True
        return not named_only and is_public(address)


def read_patterns(entries: Iterable[str]) -> HostRules:
    """Return the rules of a list of entries. Raises `ValueError`, which says what is wrong with which one."""
    return HostRules(patterns=tuple(read_pattern(entry) for entry in entries))


def read_pattern(entry: str) -> HostPattern:
    """Read one entry. Raises `ValueError`."""
    if "://" in entry:
        raise ValueError(f"{entry!r} is an address of a page, not a host: {_FORM}")
    host, port = _split(entry.strip())
    ports = DEFAULT_PORTS if port is None else frozenset((port,))
    try:
        network = ipaddress.ip_network(host, strict=False)
    except ValueError:
        network = None
    if network is not None:
        return HostPattern(networks=(network,), ports=ports)
    below = host == "*" or host.startswith("*.")
    name = host.removeprefix("*").removeprefix(".") if below else host
    if name or not below:
        name = _name(name, entry)
    return HostPattern(name=name, below=below, networks=_LOOPBACK if name == "localhost" else (), ports=ports)


def plain_name(host: str) -> str | None:
    """Return a host as it is compared: lower case, no final dot. `None` for what is neither a name nor an address."""
    host = host.lower().removesuffix(".")
    if address_of(host) is not None:
        return host
    labels = host.split(".")
    if not host or len(host) > NAME_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return host


def address_of(host: str) -> Address | None:
    """Return the address that a host is, `None` for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public Internet."""
    address = embedded(address)
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address.is_site_local):
        return False
    shared = isinstance(address, ipaddress.IPv4Address) and address in _SHARED
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or shared)


def _split(entry: str) -> tuple[str, int | None]:
    """Return host and port of an entry."""
    if entry.startswith("["):
        host, closing, rest = entry[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise ValueError(f"{entry!r} is not a host: {_FORM}")
        return host, _port(rest[1:], entry) if rest else None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, _port(port, entry)
    return entry, None


def _port(text: str, entry: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{entry!r} has no port between 1 and 65535 after the colon")
    return int(text)


def _name(name: str, entry: str) -> str:
    try:
        ascii_name = name.encode("idna").decode("ascii") if not name.isascii() else name
    except UnicodeError as error:
        raise ValueError(f"{entry!r} is not a host: {error}") from error
    plain = plain_name(ascii_name)
    if plain is None:
        raise ValueError(f"{entry!r} is not a host: {_FORM}")
    return plain
