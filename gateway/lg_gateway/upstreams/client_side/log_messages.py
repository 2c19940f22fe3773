"""Passes a server's log messages to the caller of the call that they belong to: marked, masked, cut, and only so many.

They are kept in the order of the wire, and all that came before the answer is delivered before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.processes.server_specs import ServerSpec
from lg_policy.limits import cut_text, is_small, whole_words
from lg_policy.wire.call_metadata import SERVER

log = logging.getLogger(__name__)

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
BURST = 50
PER_SECOND = 20.0
WAITING = 100
"""Messages that wait to be delivered; more are dropped."""
TEXT_BYTES = 16_000
"""Of one message; the rest is cut."""
DATA_CHARACTERS = 16_000
"""Of a message that is no text; a larger one is left out."""
NAME_CHARACTERS = 100
LAST_S = 2.0
"""How long the messages that came before an answer may take to be delivered."""
UNTRUSTED = "lg/untrusted"

OnLog = Callable[[t.LoggingMessageNotification], Awaitable[None]]


def at_least(level: object, least: str) -> bool:
    """Whether a level is one, and not below the least."""
    return isinstance(level, str) and level in LEVELS and LEVELS.index(level) >= LEVELS.index(least)


def most_verbose(levels: list[str]) -> str:
    """Return the level that lets through what any of these does."""
    return min(levels, key=LEVELS.index)


class LogMessages:
    """The log messages of one call. `onward` sends one to the caller; `mask` hides the secrets in a JSON value.

    Most calls have none, so nothing is started before the first.
    """

    def __init__(self, spec: ServerSpec, level: str, onward: OnLog, mask: Callable[[Any], Any] | None = None) -> None:
        self.level = level
        self._spec = spec
        self._onward = onward
        self._mask = mask
        self._room = float(BURST)
        self._at = anyio.current_time()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._delivery: asyncio.Task[None] | None = None

    def take(self, params: Mapping[str, Any]) -> None:
        """Take a message off the wire, or leave it out."""
        if not at_least(params.get("level"), self.level) or len(self._waiting) >= WAITING:
            return
        now = anyio.current_time()
        self._room = min(BURST, self._room + (now - self._at) * PER_SECOND)
        self._at = now
        if self._room < 1:
            return
        self._room -= 1
        self._waiting.append(params)
        if self._delivery is None:
            self._delivery = asyncio.get_running_loop().create_task(self._deliver())

    @asynccontextmanager
    async def delivered(self) -> AsyncIterator[None]:
        """Deliver what came within the block, at the latest at its end. If the block fails, the rest is dropped."""
        try:
            yield
            if self._delivery is not None:
                await asyncio.wait([self._delivery], timeout=LAST_S)
        finally:
            self._waiting.clear()
            if self._delivery is not None:
                self._delivery.cancel()

    async def _deliver(self) -> None:
        try:
            while self._waiting:
                await self._onward(self._shown(self._waiting.popleft()))
        except (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            log.debug("a caller did not take a log message: %r", error)
            self._waiting.clear()
        finally:
            self._delivery = None

    def _shown(self, params: Mapping[str, Any]) -> t.LoggingMessageNotification:
        logger, data = params.get("logger"), params.get("data")
        if isinstance(data, str):
            data, was_cut = cut_text(data, TEXT_BYTES)
            data = whole_words(data) + " [...cut]" if was_cut else data
        elif not is_small(data, DATA_CHARACTERS):
            data = f"[left out: a message of more than {DATA_CHARACTERS} characters]"
        name = f"{self._spec.name}/{logger}" if isinstance(logger, str) and logger else self._spec.name
        if self._mask is not None:
            name, data = self._mask(name), self._mask(data)
        mark: dict[str, Any] = {SERVER: self._spec.name} | ({} if self._spec.trusted else {UNTRUSTED: True})
        return t.LoggingMessageNotification(
            params=t.LoggingMessageNotificationParams(
                level=cast(t.LoggingLevel, params["level"]), logger=name[:NAME_CHARACTERS], data=data, _meta=mark
            )
        )
