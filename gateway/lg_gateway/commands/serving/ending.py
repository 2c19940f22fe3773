"""What SIGTERM does to a process that serves. Imported before the servers start, so it imports almost nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_in_order(wanted: bool) -> Iterator[None]:
    """Let SIGTERM end the block by an exception, so that what was collected is still sent; then end by the signal.

    The web server sends the signal again when it has ended, which would end the process on the spot.
    """
    if not wanted:
        yield
        return

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGTERM, before)
        signal.raise_signal(signal.SIGTERM)
        raise
