"""Whether an event loop is left free while work is done: what runs in its thread, and with how much."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any, Self


class Heartbeat:
    """How many seconds of processor time the thread of the loop spent at most between two of its turns.

    A busy machine makes a turn take longer, and not use more. Work of other threads is not counted.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.sleep(0)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _beat(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            self.longest_s = max(self.longest_s, now - last)
            last = now


@contextmanager
def called_in_this_thread(*, with_more_than: int = 0) -> Iterator[set[CodeType]]:
    """Collect the functions that this thread calls, or those that it calls with a value of more than so many parts.

    What a worker thread does beside an event loop is not among them, however fast or slow the machine is.
    """
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and (not with_more_than or any(map(large, arguments(frame)))):
            called.add(frame.f_code)

    def arguments(frame: FrameType) -> Iterator[Any]:
        given, count = frame.f_locals, frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount
        return (given[name] for name in frame.f_code.co_varnames[:count] if name in given)

    def large(value: Any, depth: int = 3) -> bool:
        if isinstance(value, str | bytes | bytearray | list | tuple) and len(value) > with_more_than:
            return True
        within = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
        return depth > 0 and any(large(part, depth - 1) for part in islice(within, 5))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(before)
