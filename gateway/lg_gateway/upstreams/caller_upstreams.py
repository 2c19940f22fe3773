"""The connections of callers who each have a login of their own at a server.

A connection belongs to one login: servers of 2025 tie a session to who opened it, and no answer to one caller may ever
reach another. The first call of an identity opens its connection; one that is not used is closed after a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio

from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstreams.upstream import Upstream

AT_ONCE = 200
"""Connections of callers. The one that was used least recently makes room for the next."""
IDLE_S = 600.0

_Key = tuple[str, str]


class CallerUpstreams:
    """The connections by server and identity. `make` makes one and starts it; `end` ends one after its calls."""

    def __init__(self, make: Callable[[ServerSpec, str], Upstream], end: Callable[[Upstream], None]) -> None:
        self._make = make
        self._end = end
        self._used: dict[_Key, float] = {}
        self._upstreams: dict[_Key, Upstream] = {}

    def of(self, spec: ServerSpec, identity: str) -> Upstream:
        """Return the connection of an identity, made new where there is none, or where the server's entry changed."""
        now = anyio.current_time()
        key = (spec.name, identity)
        found = self._upstreams.get(key)
        if found is None or found.spec is not spec:
            self._drop(key)
            found = self._upstreams[key] = self._make(spec, identity)
        self._used.pop(key, None)
        self._used[key] = now
        for old in list(self._outdated(now)):
            self._drop(old)
        return found

    def drop_server(self, server: str) -> None:
        """End the connections to one server."""
        for key in [key for key in self._upstreams if key[0] == server]:
            self._drop(key)

    def _outdated(self, now: float) -> Iterator[_Key]:
        """Yield what to close: the keys are in the order of their last use."""
        surplus = len(self._used) - AT_ONCE
        for place, (key, used) in enumerate(self._used.items()):
            if place >= surplus and now - used < IDLE_S:
                return
            yield key

    def _drop(self, key: _Key) -> None:
        self._used.pop(key, None)
        upstream = self._upstreams.pop(key, None)
        if upstream is not None:
            self._end(upstream)
