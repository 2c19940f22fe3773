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
from lg_gateway.upstream_login.server_login import Logins, ServerLogin
from lg_gateway.upstreams.caller_upstreams import CallerUpstreams
from lg_gateway.upstreams.client_side import notices
from lg_gateway.upstreams.handshake_memory import HandshakeMemory
from lg_gateway.upstreams.offers.resource_watch import OnUpdated, ResourceWatch
from lg_gateway.upstreams.restart_policy import Backoff
from lg_gateway.upstreams.upstream import Upstream
from lg_policy.errors import UpstreamUnavailable

log = logging.getLogger(__name__)

CALLER_DRAIN_S = 600.0
"""For the last calls over a connection with a caller's own login that is closed."""
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
        logins: Logins,
        memory: HandshakeMemory,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self.upstreams: dict[str, Upstream] = {}
        self._backoff = backoff
        self._reaper = reaper
        self._on_offer = on_offer
        self._on_updated = on_updated
        self._logins = logins
        self._memory = memory
        self._mask = mask
        self._left: dict[str, ResourceWatch] = {}
        """The subscriptions at servers that were retired."""
        self._scopes: dict[Upstream, anyio.CancelScope] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self._log_level: str | None = None
        self._callers = CallerUpstreams(self._add_caller, self._end_caller)

    def of_caller(self, name: str, identity: str, subject: str = "") -> Upstream | None:
        """Return the connection for calls of an identity: the server's own, or one with the identity's own login.

        `subject` is the token that the caller showed, where it may be exchanged for another.
        """
        upstream = self.upstreams.get(name)
        if upstream is None or self._logins.is_shared(upstream.spec.login, identity):
            return upstream
        upstream = self._callers.of(upstream.spec, identity)
        upstream.login.use(subject)
        return upstream

    def for_call(self, name: str, identity: str, subject: str) -> Upstream:
        """Return the connection for a call, as `of_caller` does. Raises `UpstreamUnavailable` if the server is gone."""
        upstream = self.of_caller(name, identity, subject)
        if upstream is None:
            raise UpstreamUnavailable(f"server {name} was removed from the settings")
        return upstream

    def add(self, spec: ServerSpec, child: Child | None = None) -> None:
        """Add a server. It starts with the others, or at once when they run already."""

        async def on_offer(name: str, offer: Offer) -> None:
            if self.upstreams.get(name) is upstream:  # a server that is being replaced no longer counts
                await self._on_offer(name, offer)

        login = self._logins.of_server(spec.name, spec.login)
        upstream = self._made(spec, login, on_offer, partial(self._on_updated, spec.name), child)
        upstream.log_level = self._log_level
        left = self._left.pop(spec.name, None)
        if left is not None:
            upstream.watch.adopt(left)
        self.upstreams[spec.name] = upstream
        if self._tasks is not None:
            self._start(self._tasks, upstream)

    def _made(
        self,
        spec: ServerSpec,
        login: ServerLogin,
        on_offer: OnOffer,
        on_updated: OnUpdated,
        child: Child | None = None,
    ) -> Upstream:
        return Upstream(
            spec,
            backoff=self._backoff,
            reaper=self._reaper,
            on_offer=on_offer,
            on_updated=on_updated,
            memory=self._memory,
            login=login,
            child=child,
            mask=self._mask,
        )

    def _add_caller(self, spec: ServerSpec, identity: str) -> Upstream:
        """Start a connection with a caller's login. Its lists are not used: the server's own connection has them."""

        async def ignore(_name: str, _what: object) -> None:
            return

        async def ignore_update(_uri: str) -> None:
            return

        if spec.login is None or self._tasks is None:
            raise UpstreamUnavailable(f"server {spec.name} is not started")
        upstream = self._made(spec, self._logins.of_caller(spec.name, spec.login, identity), ignore, ignore_update)
        self._start(self._tasks, upstream)
        return upstream

    def _end_caller(self, upstream: Upstream) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(self._drain, upstream, CALLER_DRAIN_S, name=f"the end of {upstream.name}")

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start every server in a group of tasks, which ends them when it is cancelled."""
        self._tasks = tasks
        for upstream in self.upstreams.values():
            self._start(tasks, upstream)

    def retire(self, name: str, drain_s: float) -> None:
        """Let a server finish its calls, then end it."""
        upstream = self.upstreams.pop(name)
        self._left[name] = upstream.watch
        self._callers.drop_server(name)
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
