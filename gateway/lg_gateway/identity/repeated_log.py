"""A log that strangers cannot fill: of what happens again and again, the first line, then a count a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

WINDOW_S = 60.0


class RepeatedLog:
    """Writes at most one line a minute of each kind. `clock` is monotonic."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._written: dict[str, float] = {}
        self._unwritten: dict[str, int] = {}

    def write(self, level: int, kind: str, detail: object, *, exc_info: bool = False) -> None:
        """Write `kind: detail`, or only count it. `kind` is a text of ours, never of a caller."""
        now = self._clock()
        if now - self._written.get(kind, -WINDOW_S) < WINDOW_S:
            self._unwritten[kind] = self._unwritten.get(kind, 0) + 1
            return
        self._written[kind] = now
        more = self._unwritten.pop(kind, 0)
        before = f" ({more} more since the last such line)" if more else ""
        self._log.log(level, "%s: %s%s", kind, detail, before, exc_info=exc_info)
