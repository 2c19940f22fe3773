"""Limits a call's progress reports, so that a server that reports without end does not fill the send queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from anyio import current_time

from lg_policy.limits import cut_text, whole_words

BURST = 50
PER_SECOND = 20.0
MESSAGE_BYTES = 64_000
"""Of one report's message; the rest is cut."""


class Progress(Protocol):
    """Passes progress on to the caller."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Report `progress` out of `total`."""
        ...


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
