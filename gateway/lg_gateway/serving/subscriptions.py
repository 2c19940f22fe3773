"""Tells clients that a list or a resource has changed: what they asked for, what really comes, and what they may know.

A client of 2026 opens a stream with a filter; a client of 2025 subscribes to resources one by one. A subscription
carries a URI to a server, so the rules must allow to read the resource. Nobody is asked about one, and each is noted in
the ledger.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.offer_answers import not_found
from lg_gateway.calls.results import GATEWAY, REFUSED
from lg_gateway.catalog.entry import Entry
from lg_gateway.serving.advertising import Advertising
from lg_gateway.serving.gateway import Gateway
from lg_gateway.tasks.task_requests import TaskRequests
from lg_gateway.tasks.task_streams import TaskStreams
from lg_policy.errors import LgError, LimitExceeded, PolicyDenied
from lg_policy.rules.rule_set import Effect, Kind

log = logging.getLogger(__name__)

SUBSCRIPTIONS_PER_CLIENT = 200
"""Resources in one stream, or of one connection."""
CHANGES: dict[Kind, Any] = {
    Kind.TOOL: ToolsListChanged(),
    Kind.RESOURCE: ResourcesListChanged(),
    Kind.PROMPT: PromptsListChanged(),
}
Context = ServerRequestContext[Any, Any]
_Held = tuple[str, str, str]
"""Whose subscription, at which server, to which URI of it."""
_listener: ContextVar[str | None] = ContextVar("who opens a stream", default=None)


class Subscriptions:
    """The streams and subscriptions of all clients of one gateway."""

    def __init__(
        self, gateway: Gateway, identify: Callable[[Context], str], advertising: Advertising, tasks: TaskRequests
    ) -> None:
        self._gateway = gateway
        self._identify = identify
        self._advertising = advertising
        self._tasks = tasks
        self._task_streams = TaskStreams(gateway.task_keeper)
        self._bus = _CallersBus(self._may_still_hear)
        self.streams = ListenHandler(self._bus)
        self._connections: dict[int, Any] = {}
        self._held: Counter[str] = Counter()
        """Subscriptions to resources, by identity."""
        self._subscribed: dict[int, dict[str, _Held]] = {}

    def handlers(self) -> dict[str, Any]:
        """Return the arguments of `mcp.server.Server` that register these handlers."""
        return {
            "on_subscriptions_listen": self.listen,
            "on_subscribe_resource": self.subscribe,
            "on_unsubscribe_resource": self.unsubscribe,
        }

    async def listen(self, ctx: Context, params: t.SubscriptionsListenRequestParams) -> t.SubscriptionsListenResult:
        """Serve one stream. Only what will come is acknowledged."""
        identity = self._identify(ctx)
        await self._gateway.described()
        asked_tasks = (params.notifications.model_extra or {}).get("taskIds")
        task_ids = await self._tasks.own_tasks(ctx, asked_tasks) if asked_tasks is not None else []
        offer, asked = self._advertising.offer_for(identity), params.notifications
        held: list[_Held] = []
        addresses: list[str] = []
        try:
            for address in dict.fromkeys(asked.resource_subscriptions or ()):
                try:
                    held.append(await self._acquire(identity, address, len(held)))
                    addresses.append(address)
                except (LgError, MCPError) as error:
                    log.info("a subscription of %s was not taken: %s", identity, error)
            honoured = t.SubscriptionFilter(
                tools_list_changed=asked.tools_list_changed,
                prompts_list_changed=asked.prompts_list_changed if offer.has_prompts else None,
                resources_list_changed=asked.resources_list_changed if offer.has_resources else None,
                resource_subscriptions=addresses or None,
            )
            token = _listener.set(identity)
            listening = params.model_copy(update={"notifications": honoured})
            try:
                if not task_ids:
                    return await self.streams(ctx, listening)
                serve = partial(self.streams, params=listening)
                return await self._task_streams.serve(ctx, identity, task_ids, serve)
            finally:
                _listener.reset(token)
        finally:
            for taken in held:
                self._release(*taken)

    async def subscribe(self, ctx: Context, params: t.SubscribeRequestParams) -> t.EmptyResult:
        """Subscribe a connection of 2025 to a resource. Raises `MCPError`."""
        address, number = str(params.uri), id(ctx.session._connection)  # private: as in `remember`
        if number not in self._connections:
            raise MCPError(t.INVALID_REQUEST, "the connection is not initialized")
        mine = self._subscribed.setdefault(number, {})
        if address in mine:
            return t.EmptyResult()
        try:
            held = await self._acquire(self._identify(ctx), address, len(mine))
        except LgError as error:
            raise MCPError(REFUSED, error.text(), {"error": error.payload(), GATEWAY: True}) from error
        if address in mine or self._subscribed.get(number) is not mine:  # meanwhile it subscribed twice, or left
            self._release(*held)
        else:
            mine[address] = held
        return t.EmptyResult()

    async def unsubscribe(self, ctx: Context, params: t.UnsubscribeRequestParams) -> t.EmptyResult:
        """End the subscription of a connection of 2025."""
        held = self._subscribed.get(id(ctx.session._connection), {}).pop(str(params.uri), None)
        if held is not None:
            self._release(*held)
        return t.EmptyResult()

    async def remember(self, ctx: Context, call_next: Any) -> Any:
        """Remember the connections of 2025 clients: the SDK has no public list of them."""
        if ctx.method == "notifications/initialized":
            connection = ctx.session._connection  # private: its exit stack is the only hook for its end
            self._connections[id(connection)] = (connection, self._identify(ctx))
            connection.exit_stack.callback(self._forget, id(connection))
        return await call_next(ctx)

    async def lists_changed(self, changed: Any) -> None:
        """Tell everyone who listens that lists of these kinds have changed."""
        for kind in sorted(changed):
            await self._bus.publish(CHANGES[kind])
        for connection, _ in list(self._connections.values()):
            for kind in sorted(changed):
                await self._tell(connection, f"send_{kind}_list_changed")

    async def resource_updated(self, server: str, uri: str) -> None:
        """Tell everyone who subscribed to a resource that it has changed."""
        address = self._gateway.catalog.offers.addresses.public(server, uri)
        await self._bus.publish(ResourceUpdated(uri=address))
        for number, (connection, identity) in list(self._connections.items()):
            if address in self._subscribed.get(number, ()) and self._may_hear(identity, address) is not None:
                await self._tell(connection, "send_resource_updated", address)

    async def _tell(self, connection: Any, method: str, *args: str) -> None:
        try:
            await getattr(connection, method)(*args)
        except Exception as error:  # noqa: BLE001  one client that went away must not keep others from hearing
            log.debug("cannot tell a client of a change: %r", error)

    async def _acquire(self, identity: str, address: str, count: int) -> _Held:
        """Subscribe at the server of a resource. Raises `LgError` and `MCPError`."""
        with self._gateway.pipeline.limiter.request(identity):
            if count >= SUBSCRIPTIONS_PER_CLIENT:
                raise LimitExceeded(
                    f"there are {SUBSCRIPTIONS_PER_CLIENT} subscriptions already", hint="end some of them first"
                )
            most = self._gateway.policy.settings.gateway.subscriptions_at_once
            if self._held[identity] >= most:
                words = f"{most} subscriptions of this identity are open already (gateway.subscriptions_at_once)"
                raise LimitExceeded(words, hint="end some of them first")
            entry = self._may_hear(identity, address)
            if entry is None:
                raise PolicyDenied("no rule allows to read this resource without asking", hint="read it instead")
            upstream = self._gateway.upstreams.get(entry.server.name)
            offer = self._gateway.catalog.offers.offer(entry.server.name)
            if upstream is None or offer is None or not offer.subscribes:
                raise not_found(Kind.RESOURCE, address, modern=True)
            self._held[identity] += 1
            try:
                await self._gateway.recorder.note("subscribed", f"to {entry.facts.tool}", identity)
                await upstream.watch.acquire(entry.tool)
            except BaseException:
                self._one_less(identity)
                raise
            return identity, entry.server.name, entry.tool

    def _release(self, identity: str, server: str, uri: str) -> None:
        self._one_less(identity)
        upstream = self._gateway.upstreams.get(server)
        if upstream is not None:
            upstream.watch.release(uri)

    def _one_less(self, identity: str) -> None:
        self._held[identity] -= 1
        if not self._held[identity]:
            del self._held[identity]

    def _forget(self, number: int) -> None:
        self._connections.pop(number, None)
        for held in self._subscribed.pop(number, {}).values():
            self._release(*held)

    def _may_hear(self, identity: str, address: str) -> Entry | None:
        """Return a resource whose reading the rules allow to a caller without asking."""
        entry = self._gateway.catalog.offers.resource(address)
        if entry is None or not self._gateway.pipeline.decisions.visible(identity, entry.facts):
            return None
        decision = self._gateway.pipeline.decisions.decide(identity, entry, {"uri": entry.tool})
        return entry if decision.effect is Effect.ALLOW else None

    def _may_still_hear(self, identity: str, event: ServerEvent) -> bool:
        return not isinstance(event, ResourceUpdated) or self._may_hear(identity, event.uri) is not None


class _CallersBus(InMemorySubscriptionBus):
    """A bus that tells each stream only what its caller may know at that time."""

    def __init__(self, may_hear: Callable[[str, ServerEvent], bool]) -> None:
        super().__init__()
        self._may_hear = may_hear

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        identity, may_hear = _listener.get(), self._may_hear

        def filtered(event: ServerEvent) -> None:
            if identity is not None and may_hear(identity, event):
                listener(event)

        return super().subscribe(filtered)
