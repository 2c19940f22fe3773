"""Runs one writer thread. It commits together what queued up while the previous commit was written to the disk."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lg_gateway.store.interface import Guard, StoreDown, StoreError, Tx, Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 256
"""Most transactions in one commit."""
CLOSE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class _WriteJob:
    work: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass
class _Outcomes:
    """What each job of one batch came to; delivered only after the commit."""

    done: list[tuple[_WriteJob, Any]] = field(default_factory=list)
    failed: list[tuple[_WriteJob, BaseException]] = field(default_factory=list)


class GroupCommit:
    """Runs jobs through a writer, each behind a savepoint of its own. The thread ends with `close`."""

    def __init__(self, writer: Writer, guard: Guard | None) -> None:
        self._writer = writer
        self._guard = guard
        self._closed = False
        self._jobs: queue.SimpleQueue[_WriteJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name="lg-store", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Tx], T]) -> T:
        """See `Store.write`."""
        if self._closed:
            raise StoreDown("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_WriteJob(work=work, loop=loop, future=future))
        return await future

    def close(self) -> None:
        """Finish what is queued."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(timeout=CLOSE_S)

    def _write_forever(self) -> None:
        open_ = True
        while open_:
            batch: list[_WriteJob] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) >= BATCH:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                open_ = False
            if batch:
                self._commit(batch)
        self._writer.close()

    def _commit(self, batch: list[_WriteJob]) -> None:
        try:
            outcomes = self._transact(batch)
        except Exception as error:  # whatever it is, those who wait are told, and this thread goes on
            log.warning("the store cannot be written: %s", error, exc_info=not isinstance(error, StoreError))
            failure = StoreDown(f"the store cannot be written: {error}")
            outcomes = _Outcomes(failed=[(job, failure) for job in batch])
        _deliver(outcomes)

    def _transact(self, batch: list[_WriteJob]) -> _Outcomes:
        outcomes = _Outcomes()
        try:
            tx = self._writer.begin()
            if self._guard is not None:
                self._guard.before(tx)
            for job in batch:
                _run(tx, job, outcomes)
            if self._guard is not None:
                self._guard.committing(tx)
            self._writer.commit()
            if self._guard is not None:
                self._guard.after()
        finally:
            self._writer.end()
        return outcomes


def _run(tx: Tx, job: _WriteJob, outcomes: _Outcomes) -> None:
    tx.execute("SAVEPOINT job")
    try:
        result = job.work(tx)
    except StoreDown:
        raise  # the store, not this job: the whole batch is undone
    except Exception as error:  # noqa: BLE001  a job's own refusal belongs to its caller, who is given it below
        tx.execute("ROLLBACK TO SAVEPOINT job")
        tx.execute("RELEASE SAVEPOINT job")
        outcomes.failed.append((job, error))
    else:
        tx.execute("RELEASE SAVEPOINT job")
        outcomes.done.append((job, result))


def _deliver(outcomes: _Outcomes) -> None:
    """Settle the futures of a batch, with one wake-up per event loop."""
    loops = {job.loop for job, _ in (*outcomes.done, *outcomes.failed)}
    for loop in loops:
        try:
            loop.call_soon_threadsafe(_settle, loop, outcomes)
        except RuntimeError:  # that loop is closed: nobody is left to tell
            log.debug("a store result came after its event loop had closed")


def _settle(loop: asyncio.AbstractEventLoop, outcomes: _Outcomes) -> None:
    for job, result in outcomes.done:
        if job.loop is loop and not job.future.done():  # done: the caller was cancelled; the transaction stands
            job.future.set_result(result)
    for job, problem in outcomes.failed:
        if job.loop is loop and not job.future.done():
            job.future.set_exception(problem)
