"""Keeps one server's subscriptions to resources: one for each URI, however many clients want it.

A 2025 server takes subscriptions one by one. The stream of a 2026 server has a fixed set of URIs, so a wider stream is
opened first, and then the old one is left. What a client wants outlasts the connection: a new one subscribes again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.abc
import mcp_types as t
from mcp.client.client import Client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_policy.errors import LimitExceeded, UpstreamUnavailable

log = logging.getLogger(__name__)

SUBSCRIPTIONS_PER_SERVER = 1_000
ANSWER_S = 10.0
"""How long a server may take to confirm a subscription."""
NEWS_PAUSE_S = 0.1
"""Changes of one resource within this time are told as one."""
AGAIN_S = 1.0
"""Before a stream that ended is opened again."""
OnUpdated = Callable[[str], Awaitable[None]]


class ResourceWatch:
    """The subscriptions at one server. `on_updated` gets the URI that was subscribed to, whenever it has changed."""

    def __init__(self, server: str, on_updated: OnUpdated) -> None:
        self._server = server
        self._on_updated = on_updated
        self._wanted: Counter[str] = Counter()
        self._active: frozenset[str] = frozenset()
        self._refused: dict[str, MCPError] = {}
        self._changed = anyio.Event()
        self._settled = anyio.Event()
        self._updated: dict[str, None] = {}
        self._news = anyio.Event()
        self._stream: anyio.CancelScope | None = None

    @property
    def active(self) -> frozenset[str]:
        """The URIs that the server has agreed to tell about."""
        return self._active

    async def acquire(self, uri: str) -> None:
        """Subscribe once more to a URI; return when the server has agreed.

        Raises `MCPError` (the server's refusal), `LimitExceeded` and `UpstreamUnavailable` (no answer in time).
        """
        if uri not in self._wanted and len(self._wanted) >= SUBSCRIPTIONS_PER_SERVER:
            raise LimitExceeded(
                f"server {self._server} has {SUBSCRIPTIONS_PER_SERVER} subscriptions already", hint="end some of them"
            )
        self._wanted[uri] += 1
        self._wake()
        try:
            with anyio.move_on_after(ANSWER_S):
                while uri not in self._active and uri not in self._refused:
                    await self._settled.wait()
            if uri not in self._active:
                late = UpstreamUnavailable(f"server {self._server} did not confirm the subscription")
                raise self._refused.get(uri, late)
        except BaseException:
            self.release(uri)
            raise

    def release(self, uri: str) -> None:
        """End one subscription to a URI. The server is told when it was the last."""
        self._wanted[uri] -= 1
        if self._wanted[uri] <= 0:
            del self._wanted[uri]
            self._refused.pop(uri, None)
        self._wake()

    def adopt(self, other: ResourceWatch) -> None:
        """Take over what is wanted of a server that this one replaces."""
        self._wanted, other._wanted = other._wanted, Counter()
        other._wake()
        self._wake()

    def updated(self, uri: str) -> None:
        """Note that a server says that a resource has changed, or one below it."""
        found = [uri] if uri in self._active else [wanted for wanted in self._active if _below(uri, wanted)]
        if found:
            self._updated |= dict.fromkeys(found)
            self._news.set()

    async def run(self, client: Client, *, live: bool) -> None:
        """Keep the subscriptions of one connection. `live`: a 2025 server."""
        self._active, self._refused = frozenset(), {}
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell)
                while True:
                    self._changed = anyio.Event()
                    wanted = frozenset(self._wanted)
                    if live:
                        await self._adjust(client, wanted)
                    elif wanted != self._active | self._refused.keys():
                        await self._widen(tasks, client, wanted)
                    self._settled.set()
                    self._settled = anyio.Event()
                    await self._changed.wait()
        finally:
            self._active, self._stream = frozenset(), None

    def _wake(self) -> None:
        self._changed.set()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            updated, self._updated = self._updated, {}
            for uri in updated:
                await self._on_updated(uri)
            await anyio.sleep(NEWS_PAUSE_S)

    async def _adjust(self, client: Client, wanted: frozenset[str]) -> None:
        """Subscribe to what is new, and end what nobody wants any longer."""
        for uri in sorted(wanted - self._active - self._refused.keys()):
            request = t.SubscribeRequest(params=t.SubscribeRequestParams(uri=uri))
            try:
                await client.session.send_request(request, t.EmptyResult, request_read_timeout_seconds=ANSWER_S)
                self._active |= {uri}
            except MCPError as error:
                self._refused[uri] = error
            except ValidationError as error:
                log.warning("%s sent an answer to a subscription that is not valid MCP: %s", self._server, error)
                self._refused[uri] = MCPError(t.INTERNAL_ERROR, "its answer is not valid MCP")
        for uri in sorted(self._active - wanted):
            end = t.UnsubscribeRequest(params=t.UnsubscribeRequestParams(uri=uri))
            with suppress(MCPError, ValidationError):
                await client.session.send_request(end, t.EmptyResult, request_read_timeout_seconds=ANSWER_S)
            self._active -= {uri}

    async def _widen(self, tasks: anyio.abc.TaskGroup, client: Client, wanted: frozenset[str]) -> None:
        """Open a stream for these URIs, then leave the one before."""
        before, scope, opened = self._stream, anyio.CancelScope(), anyio.Event()
        self._stream = scope
        if wanted:
            tasks.start_soon(self._follow, client, wanted, scope, opened)
            with anyio.move_on_after(ANSWER_S):
                await opened.wait()
        else:
            self._active = frozenset()
        if before is not None:
            before.cancel()

    async def _follow(
        self, client: Client, wanted: frozenset[str], scope: anyio.CancelScope, opened: anyio.Event
    ) -> None:
        """Follow one stream to its end. What it says comes through the message handler too, and is read there."""
        with scope:
            try:
                async with client.listen(resource_subscriptions=sorted(wanted)) as subscription:
                    honored = frozenset(subscription.honored.resource_subscriptions or ())
                    self._active = wanted & honored
                    self._refused = {uri: MCPError(t.INVALID_PARAMS, "not accepted") for uri in wanted - honored}
                    opened.set()
                    async for _ in subscription:
                        pass
            except MCPError as error:
                self._refused = dict.fromkeys(wanted, error)
            except (SubscriptionLost, TimeoutError) as error:
                log.debug("%s: its stream of changed resources ended: %r", self._server, error)
            if self._stream is scope:
                self._active = frozenset()
                opened.set()
                await anyio.sleep(AGAIN_S)
                self._refused = {}
                self._wake()


def _below(uri: str, wanted: str) -> bool:
    """Whether a URI is that of a part of a resource."""
    return uri.startswith(wanted) and (wanted.endswith("/") or uri[len(wanted)] in "/?#")
