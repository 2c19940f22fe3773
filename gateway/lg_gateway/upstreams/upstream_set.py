"""Starts the upstream servers of a gateway, replaces those whose entry changes, and ends them together.

A server whose entry did not change is left alone. A server that is replaced or removed may finish its calls within
`gateway.drain_s`. New calls go to its successor at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import anyio
import anyio.abc

from lg_gateway.catalog.offer import Offer
from lg_gateway.processes.child_process import Child, Reaper
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstreams.client_side import notices
from lg_gateway.upstreams.handshake_memory import HandshakeMemory
from lg_gateway.upstreams.oauth import Learn
from lg_gateway.upstreams.offers.resource_watch import ResourceWatch
from lg_gateway.upstreams.restart_policy import Backoff
from lg_gateway.upstreams.upstream import Upstream

log = logging.getLogger(__name__)

OnOffer = Callable[[str, Offer], Awaitable[None]]


class UpstreamSet:
    """The servers by name, in `upstreams`. Others may keep that dictionary: it is changed in place."""

    def __init__(
        self,
        *,
        backoff: Backoff,
        reaper: Reaper,
        on_offer: OnOffer,
        on_updated: Callable[[str, str], Awaitable[None]],
        learn: Learn,
        memory: HandshakeMemory,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self.upstreams: dict[str, Upstream] = {}
        self._backoff = backoff
        self._reaper = reaper
        self._on_offer = on_offer
        self._on_updated = on_updated
        self._learn = learn
        self._memory = memory
        self._mask = mask
        self._left: dict[str, ResourceWatch] = {}
        """The subscriptions at servers that were retired."""
        self._scopes: dict[Upstream, anyio.CancelScope] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log_level: str | None = None

    def add(self, spec: ServerSpec, child: Child | None = None) -> None:
        """Add a server. It starts with the others, or at once when they run already."""

        async def on_offer(name: str, offer: Offer) -> None:
            if self.upstreams.get(name) is upstream:  # a server that is being replaced no longer counts
                await self._on_offer(name, offer)

        upstream = Upstream(
            spec,
            backoff=self._backoff,
            reaper=self._reaper,
            on_offer=on_offer,
            on_updated=partial(self._on_updated, spec.name),
            memory=self._memory,
            child=child,
            learn=self._learn,
            mask=self._mask,
        )
        upstream.log_level = self._log_level
        left = self._left.pop(spec.name, None)
        if left is not None:
            upstream.watch.adopt(left)
        self.upstreams[spec.name] = upstream
        if self._tasks is not None:
            self._start(self._tasks, upstream)

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start every server in a group of tasks, which ends them when it is cancelled."""
        self._tasks = tasks
        for upstream in self.upstreams.values():
            self._start(tasks, upstream)

    def retire(self, name: str, drain_s: float) -> None:
        """Let a server finish its calls, then end it."""
        upstream = self.upstreams.pop(name)
        self._left[name] = upstream.watch
        if self._tasks is not None:
            self._tasks.start_soon(self._drain, upstream, drain_s, name=f"the end of {name}")

    def wake(self) -> None:
        """Start every server that waits for a restart. What it lacked may be there now."""
        for upstream in self.upstreams.values():
            upstream.wake()

    async def set_log_level(self, level: str) -> None:
        """Have the servers of 2025 send log messages from a level on, now and after their next start."""
        self._log_level = level
        async with anyio.create_task_group() as tasks:
            for upstream in self.upstreams.values():
                upstream.log_level = level
                tasks.start_soon(upstream.tell, partial(notices.set_log_level, level))

    async def roots_changed(self) -> None:
        """Tell the servers of 2025 that may ask for roots that a client has others now."""
        async with anyio.create_task_group() as tasks:
            for upstream in self.upstreams.values():
                tasks.start_soon(upstream.tell, notices.roots_changed)

    def changes(self, specs: Iterable[ServerSpec]) -> Mapping[str, ServerSpec | None]:
        """Return the entries that are new or different, and `None` for servers that are gone."""
        wanted = {spec.name: spec for spec in specs}
        changed: dict[str, ServerSpec | None] = {
            name: spec
            for name, spec in wanted.items()
            if name not in self.upstreams or self.upstreams[name].spec != spec
        }
        return changed | {name: None for name in self.upstreams if name not in wanted}

    def _start(self, tasks: anyio.abc.TaskGroup, upstream: Upstream) -> None:
        self._scopes[upstream] = anyio.CancelScope()
        tasks.start_soon(self._run, upstream, name=f"upstream {upstream.name}")

    async def _run(self, upstream: Upstream) -> None:
        with self._scopes[upstream]:
            await upstream.run()
        del self._scopes[upstream]

    async def _drain(self, upstream: Upstream, seconds: float) -> None:
        with anyio.move_on_after(seconds) as waited:
            await upstream.idle()
        if waited.cancelled_caught:
            log.warning("%s: cancelling calls that did not end within %g s", upstream.name, seconds)
        if upstream in self._scopes:
            self._scopes[upstream].cancel()
