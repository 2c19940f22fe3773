"""Logs each kind of message once a minute, so that strangers cannot flood the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

INTERVAL_S = 60.0
"""Seconds in which one kind of message is logged once."""
KINDS = 100
"""Kinds of messages that are distinguished. All later kinds count as one more."""


class OncePerKind(logging.Filter):
    """Passes one record of each kind in an interval; the next one says how many were left out.

    The kind is the part of a message's template before the first colon: what follows may be a stranger's text.
    `clock` is monotonic.
    """

    def __init__(self, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval = interval_s
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about one record. Add the count to its message."""
        kind = f"{record.name} {record.levelno} {str(record.msg).partition(':')[0][:80]}"
        if kind not in self._seen and len(self._seen) >= KINDS:
            kind = "others"
        now = self._clock()
        since, left_out = self._seen.get(kind, (now - 2 * self._interval, 0))
        if now - since < self._interval:
            self._seen[kind] = (since, left_out + 1)
            return False
        self._seen[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more like this)"
            record.args = None
        return True


def once_per_kind(log: logging.Logger) -> logging.Logger:
    """Limit a logger to one message of each kind a minute, and return it."""
    if not any(isinstance(known, OncePerKind) for known in log.filters):
        log.addFilter(OncePerKind())
    return log
