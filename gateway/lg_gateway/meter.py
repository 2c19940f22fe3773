"""Limits on what one caller does: calls in a minute, calls at once. Counted where a call is about to leave.

A question that is asked again, or a call that is refused, does not count. The counts live in this process: several
gateways on one store each have their own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lg_policy.config import GatewaySettings
from lg_policy.errors import LimitExceeded

WINDOW_S = 60.0


class Meter:
    """Counts by identity. `clock` is monotonic."""

    def __init__(self, settings: Callable[[], GatewaySettings], clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}
        self._running: dict[str, int] = {}

    @contextmanager
    def admit(self, identity: str) -> Iterator[None]:
        """Let one call pass for the length of the block. Raises `LimitExceeded`."""
        settings, now = self._settings(), self._clock()
        recent = self._recent.setdefault(identity, deque())
        while recent and now - recent[0] >= WINDOW_S:
            recent.popleft()
        if len(recent) >= settings.calls_per_minute:
            wait = WINDOW_S - (now - recent[0])
            raise LimitExceeded(f"more than {settings.calls_per_minute} calls in a minute", hint=f"wait {wait:.0f} s")
        running = self._running.get(identity, 0)
        if running >= settings.calls_at_once:
            raise LimitExceeded(f"{running} calls are running already", hint="wait for one of them")
        recent.append(now)
        self._running[identity] = running + 1
        try:
            yield
        finally:
            self._running[identity] -= 1
