"""The servers of a running gateway, for the console."""

from __future__ import annotations

import json
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING

import anyio.to_thread

from lg_console.sources.people import Person, Role
from lg_console.sources.servers import ServerState
from lg_gateway.console.judging import Judging, Latencies, at
from lg_gateway.upstreams.upstream import Upstream, UpstreamState
from lg_gateway.views.explanation import Known
from lg_policy.errors import NotFound

if TYPE_CHECKING:
    from lg_gateway.processes.server_specs import ServerSpec
    from lg_gateway.serving.gateway import Gateway
    from lg_policy.secrets.masking import Masker

LOG_BYTES = 64_000
LOG_LINES = 200


class GatewayServers(Judging):
    """What a running gateway knows of its servers."""

    def __init__(self, gateway: Gateway) -> None:
        async def known() -> Known:
            return Known.of(gateway)

        super().__init__(gateway.store, gateway.pins, lambda: gateway.setup, known)
        self._gateway = gateway

    async def servers(self) -> list[ServerState]:
        """Return every server, by name."""
        known = await self.recent()
        return [self._state(name, upstream, known) for name, upstream in sorted(self._gateway.upstreams.items())]

    async def server(self, name: str) -> ServerState | None:
        """Return one server with the end of its log, secrets masked."""
        upstream = self._gateway.upstreams.get(name)
        if upstream is None:
            return None
        known = await self.recent()
        log = await anyio.to_thread.run_sync(end_of_log, upstream.spec, self._gateway.masker)
        return self._state(name, upstream, known, log)

    async def retry(self, person: Person, name: str) -> None:
        """Start a server now that waits to be started."""
        person.need(Role.APPROVER)
        upstream = self._gateway.upstreams.get(name)
        if upstream is None:
            raise NotFound(f"there is no server {name[:60]}")
        await self._gateway.recorder.note("server woken", f"{name}, by {person.name} at the console", person.name)
        upstream.wake()

    async def mark(self) -> str:
        """Return a digest of how the servers stand."""
        states = [(name, str(up.state), up.restarts, up.error) for name, up in sorted(self._gateway.upstreams.items())]
        return sha256(json.dumps(states).encode()).hexdigest()[:16]

    def _state(self, name: str, upstream: Upstream, known: Latencies, log: str = "") -> ServerState:
        spec, times = upstream.spec, known.of.get(name, [])
        tools = sum(entry.server.name == name for entry in self._gateway.catalog.entries())
        return ServerState(
            name=name,
            builtin=spec.builtin is not None,
            trusted=spec.trusted,
            state=str(upstream.state),
            era=upstream.protocol,
            version=upstream.version,
            tools=tools,
            restarts=upstream.restarts,
            p50=at(times, 0.5),
            p95=at(times, 0.95),
            calls=len(times),
            error=upstream.error if upstream.state is not UpstreamState.UP else "",
            what_to_do=_what_to_do(upstream),
            log=log,
        )


def end_of_log(spec: ServerSpec, masker: Masker) -> str:
    """Return the end of what a server printed, secrets masked."""
    if spec.launch is None:
        return ""
    try:
        with open(spec.launch.log_path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_BYTES))
            data = file.read(LOG_BYTES)
    except OSError:
        return ""
    return "\n".join(deque(masker.mask(data.decode("utf-8", "replace")).splitlines(), LOG_LINES))


def _what_to_do(upstream: Upstream) -> str:
    if upstream.state is UpstreamState.UP:
        return ""
    if upstream.login.needs_a_person:
        return f"log in: `lg-gateway login {upstream.name}`"
    if upstream.state is UpstreamState.FAILED:
        return "it is not started again by itself: mend its entry, or try again"
    return ""
