"""Whether an event loop goes on turning while work is done beside it, counted and not timed."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

_POLL_S = 0.01


class Heartbeat:
    """Counts the turns of the loop, and how often at most a thread looked in vain for a new one.

    The thread counts only when it gets to run, so that a machine that is busy with other things stops both.
    """

    def __init__(self) -> None:
        self.beats = 0
        self.longest_pause = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        await self._task
        self._thread.join()

    async def _beat(self) -> None:
        while not self._done.is_set():
            self.beats += 1
            await asyncio.sleep(0.001)

    def _watch(self) -> None:
        seen, pause = 0, 0
        while not self._done.wait(_POLL_S):
            pause = pause + 1 if self.beats == seen else 0
            seen = self.beats
            self.longest_pause = max(self.longest_pause, pause)
