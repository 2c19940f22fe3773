"""Blocking work in worker threads: every piece can be stopped, has a deadline, and reports progress."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from lg_policy.limits import Deadline

T = TypeVar("T")
_PROGRESS_EVERY_S = 0.5
_CHECK_EVERY = 64


class StoppedError(Exception):
    """The caller left, so the work stopped. This error never crosses the wire."""


class ProgressReport(Protocol):
    """How progress reaches the client."""

    def __call__(self, done: float, total: float | None, message: str) -> Awaitable[None]:
        """Send one progress notification."""
        ...


class Job:
    """One call's work, as its worker thread sees it.

    Workers call `check_time()` before each slow step and `step()` in tight loops: both end the work when the caller
    cancelled or the time is over. A walk asks `late()` instead, and then answers with what it has.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.deadline = Deadline(seconds)
        self.done = 0
        self.message = ""
        self._stop = threading.Event()
        self._ticks = 0
        self._weight = 0

    def stop(self) -> None:
        """Make the next check raise `StoppedError`."""
        self._stop.set()

    def part(self, share: float) -> Job:
        """Return a job that has this share of the time that is left, and stops with this one."""
        left = self.deadline.remaining()
        made = Job(None if left is None else left * share)
        made._stop = self._stop
        return made

    def check(self) -> None:
        """Raise `StoppedError` if the caller left."""
        if self._stop.is_set():
            raise StoppedError

    def check_time(self) -> None:
        """Raise `StoppedError` if the caller left, and `CallTimeout` if the time is over."""
        self.check()
        self.deadline.check()

    def tick(self) -> None:
        """Count one step and call `check()` once in a while."""
        self._ticks += 1
        if self._ticks % _CHECK_EVERY == 0:
            self.check()

    def step(self, weight: int = 1) -> None:
        """Count work of this weight and call `check_time()` once in a while."""
        self._weight += weight
        if self._weight >= _CHECK_EVERY:
            self._weight = 0
            self.check_time()

    def late(self) -> bool:
        """Return whether the time is over. Raises `StoppedError` if the caller left."""
        self.check()
        return self.deadline.passed()

    def wait(self, seconds: float) -> None:
        """Pause, then `check_time`. The pause ends as soon as the caller leaves."""
        self._stop.wait(seconds)
        self.check_time()


class Workers:
    """A bounded pool of threads. Cancelling a call stops its work and waits until the thread has ended."""

    def __init__(self, threads: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="lg-call")
        self._seconds = seconds

    def close(self) -> None:
        """Accept no more work. Running work ends at its deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[Job], T], report: ProgressReport | None = None) -> T:
        """Run `work` in a thread and return its result. Raises what `work` raises."""
        job = Job(self._seconds)
        future: Future[T] = self._pool.submit(work, job)
        waiter = asyncio.wrap_future(future)
        try:
            return await self._follow(job, waiter, report)
        except asyncio.CancelledError:
            job.stop()
            future.cancel()
            # The thread may hold a lock or descriptors: the call is over only when they are free. The wait is short,
            # as every loop checks the job, and a second cancellation must not cut it.
            while not waiter.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({waiter})
            if not waiter.cancelled():
                waiter.exception()  # nobody else asks for it, and the loop would report it as lost
            raise

    async def _follow(self, job: Job, waiter: asyncio.Future[T], report: ProgressReport | None) -> T:
        last = 0
        while report is not None and not waiter.done():
            await asyncio.wait({waiter}, timeout=_PROGRESS_EVERY_S)
            if job.done != last:
                last = job.done
                await report(float(last), None, job.message)
        return await asyncio.shield(waiter)
