"""Decides which machines a server may send the gateway to. Pure.

A server on the Internet may name any other machine on the Internet. It may not name one of this machine's or of its
networks: the gateway would ask services for it that it cannot reach itself.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Network(StrEnum):
    """The kind of network that an address belongs to."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    PRIVATE = "private"


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def network_of(text: str) -> Network | None:
    """Return the network of an address; `None` for one that no request goes to."""
    try:
        address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast:
        return None
    if address.is_loopback:
        return Network.LOOPBACK
    if address.is_link_local:
        return Network.LINK_LOCAL
    # Some addresses count as global that no host on the Internet has: `::127.0.0.1`, `64:ff9b:1::/48`, `fec0::/10`.
    odd = address.is_reserved or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    return Network.PUBLIC if address.is_global and not odd else Network.PRIVATE


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
