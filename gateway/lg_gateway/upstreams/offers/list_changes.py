"""Hears that a server's lists have changed, and has them read again, less often if it announces changes without end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_gateway.catalog.offer import Offer

log = logging.getLogger(__name__)

LIST_CHANGES = (t.ToolListChangedNotification, t.PromptListChangedNotification, t.ResourceListChangedNotification)
RELIST_PAUSE_S = 0.1
RELIST_PAUSE_MAX_S = 60.0


class ListChanges:
    """The changes that one server announces."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._changed = anyio.Event()

    def heard(self) -> None:
        """Note a change. The session may be in its message handler, so nothing is read here."""
        self._changed.set()

    async def follow(self, client: Client) -> None:
        """Subscribe to list changes of a 2026 server. A 2025 server sends the notification without that."""
        with suppress(ListenNotSupportedError, MCPError, TimeoutError):
            try:
                async with client.listen(
                    tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
                ) as subscription:
                    async for _ in subscription:
                        self.heard()
            except SubscriptionLost:
                log.debug("%s: its change stream ended", self._server)

    async def read_again(
        self, read: Callable[[], Awaitable[Offer]], take: Callable[[Offer], Awaitable[None]], timeout_s: float
    ) -> None:
        """Read the lists after each change, within `timeout_s`, and take them over, until cancelled."""
        pause = RELIST_PAUSE_S
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            try:
                with anyio.fail_after(timeout_s):
                    offer = await read()
            except (MCPError, TimeoutError, ValidationError) as error:
                log.warning("%s announced a changed list and did not send it: %s", self._server, error)
            else:
                await take(offer)
            await anyio.sleep(pause)
            pause = min(pause * 2, RELIST_PAUSE_MAX_S) if self._changed.is_set() else RELIST_PAUSE_S
