"""Limits a call's progress reports, so that a server that reports without end does not fill the send queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
import mcp_types as t
from anyio import current_time
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.exceptions import MCPError

from lg_policy.limits import cut_text, whole_words

log = logging.getLogger(__name__)

BURST = 50
PER_SECOND = 20.0
MESSAGE_BYTES = 64_000
"""Of one report's message; the rest is cut."""


class Progress(Protocol):
    """Passes progress on to the caller."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Report `progress` out of `total`."""
        ...


_reporting: set[asyncio.Task[None]] = set()


def reported(message: t.JSONRPCMessage, requests: Mapping[Any, tuple[str, Any]]) -> bool:
    """Give a report of progress to its direct call among open `requests`; return whether it belongs to one.

    It is passed on in a task of its own: a caller who reads slowly does not hold up the server's other messages.
    """
    if not isinstance(message, t.JSONRPCNotification) or message.method != "notifications/progress":
        return False
    params = message.params or {}
    token, done, total, words = (params.get(name) for name in ("progressToken", "progress", "total", "message"))
    if not isinstance(token, str | int) or not isinstance(done, int | float) or isinstance(done, bool):
        return False
    _, reply = requests.get(coerce_request_id(token), ("", None))
    if reply is None or reply.progress is None:
        return False
    whole = float(total) if isinstance(total, int | float) else None
    task = asyncio.create_task(_report(reply.progress, float(done), whole, words if isinstance(words, str) else None))
    _reporting.add(task)
    task.add_done_callback(_reporting.discard)
    return True


async def _report(onward: Progress, progress: float, total: float | None, message: str | None) -> None:
    try:
        await onward(progress, total, message)
    except (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
        log.debug("a caller did not take a report of progress: %r", error)


class Thinned:
    """Passes on a limited number of reports a second. Reports beyond that are dropped."""

    def __init__(self, onward: Progress, mask: Callable[[str], str] | None = None) -> None:
        self._onward = onward
        self._mask = mask
        self._room = float(BURST)
        self._at = current_time()
        self._waiting = 0

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Report `progress` out of `total`, or leave it out."""
        now = current_time()
        self._room = min(BURST, self._room + (now - self._at) * PER_SECOND)
        self._at = now
        if self._room < 1 or self._waiting >= BURST:
            return
        self._room -= 1
        self._waiting += 1
        try:
            await self._onward(progress, total, self._shown(message))
        finally:
            self._waiting -= 1

    def _shown(self, message: str | None) -> str | None:
        if message is None:
            return None
        message, was_cut = cut_text(message, MESSAGE_BYTES)
        if self._mask is not None:
            message = self._mask(whole_words(message) if was_cut else message)
        return message + " […cut]" if was_cut else message
