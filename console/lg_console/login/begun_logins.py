"""Counts logins with an identity provider that are begun: each is a row of the store until it ends.

A network has a limit of its own, so that nobody keeps others out by beginning many. The limit of all together protects
the store. A network from which somebody has logged in before may begin one even then.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from lg_policy.errors import LimitExceeded

OF_ONE = 60
"""Logins of a minute that one network may begin. A whole office may stand behind one address."""
OF_ALL = 1_000
"""Logins of a minute that all networks together may begin, those that are known apart."""
KNOWN = 10_000
"""Networks from which somebody has logged in that are remembered."""
MINUTE_S = 60.0


class BegunLogins:
    """The logins of the last minute, by network."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[int, tuple[float, str]] = OrderedDict()
        self._number = 0
        self._of: Counter[str] = Counter()
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self, address: str) -> None:
        """Count one. Raises `LimitExceeded`."""
        self._forget()
        network = network_of(address)
        if self._of[network] >= OF_ONE or (len(self._times) >= OF_ALL and network not in self._known):
            raise LimitExceeded("too many logins were begun; try again in a minute")
        self._number += 1
        self._times[self._number] = (self._clock(), network)
        self._of[network] += 1

    def succeeded(self, address: str) -> None:
        """Remember a network from which somebody has logged in."""
        network = network_of(address)
        self._known[network] = None
        self._known.move_to_end(network)
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)

    def _forget(self) -> None:
        now = self._clock()
        while self._times and now - next(iter(self._times.values()))[0] >= MINUTE_S:
            _, (_, network) = self._times.popitem(last=False)
            self._of[network] -= 1
            if not self._of[network]:
                del self._of[network]


def network_of(address: str) -> str:
    """Return the network of an address: one IPv4 address, or the /48 of an IPv6 address, which one party may hold."""
    try:
        found = ip_address(address)
    except ValueError:
        return "other"
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None or found.version == 4:
        return str(mapped or found)
    return str(ip_network((int(found), 48), strict=False))
