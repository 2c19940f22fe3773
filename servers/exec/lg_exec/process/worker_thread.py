"""Slow work in a thread beside the event loop. It has a deadline, and a cancelled call stops it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio

from lg_policy.limits import Deadline

T = TypeVar("T")


class StoppedError(Exception):
    """The caller went away, so the work was ended. Never crosses the wire."""


class Work:
    """What a worker looks at while it works: call `check` in every loop."""

    def __init__(self, seconds: float | None = None, what: str = "the call") -> None:
        self._deadline = Deadline(seconds)
        self._what = what
        self._stop = threading.Event()

    def stop(self) -> None:
        """Make the next `check` raise."""
        self._stop.set()

    def check(self) -> None:
        """Raise `StoppedError` if the caller went away, and `CallTimeout` if the time is over."""
        if self._stop.is_set():
            raise StoppedError
        self._deadline.check(self._what)

    def wait(self, seconds: float) -> None:
        """Pause, then `check`. The pause ends at once when the caller goes away."""
        self._stop.wait(seconds)
        self.check()


async def in_thread(
    do: Callable[[Work], T],
    *,
    seconds: float | None = None,
    what: str = "the call",
    discard: Callable[[T], None] | None = None,
) -> T:
    """Run `do` in a thread and return its result, or raise what it raises.

    Cancelling stops the work and waits until the thread has ended, because it may hold locks or descriptors. A result
    that nobody waits for any more goes to `discard`.
    """
    work = Work(seconds, what)

    def begin() -> T:
        work.check()
        return do(work)

    future = asyncio.get_running_loop().run_in_executor(None, begin)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        work.stop()
        with anyio.CancelScope(shield=True):
            while not future.done():
                with contextlib.suppress(asyncio.CancelledError):  # a second one must not cut the wait
                    await asyncio.wait({future})
        if future.exception() is None and discard is not None:
            discard(future.result())
        raise
