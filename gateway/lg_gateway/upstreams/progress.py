"""A call's progress on its way to the caller: a server that reports without end must not fill what waits to be sent."""

from __future__ import annotations

from typing import Protocol

from anyio import current_time

BURST = 50
PER_SECOND = 20.0


class Progress(Protocol):
    """Passes progress on to the caller."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Report `progress` out of `total`."""
        ...


class Thinned:
    """Passes reports on, at most so many at once and a second; of more, the newer are left out."""

    def __init__(self, onward: Progress) -> None:
        self._onward = onward
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
            await self._onward(progress, total, message)
        finally:
            self._waiting -= 1
