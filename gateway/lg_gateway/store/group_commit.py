"""Runs write transactions, together where several wait, and puts them on the disk.

A durable transaction goes to the writer thread. That thread commits together what queued up while the previous commit
was written to the disk. A transaction that need not wait for the disk is run at once, in the event loop, if the store
is free; where much else is ready, it waits for the end of this turn and is committed together with others. Otherwise it
queues too. `flush_s` later at the latest, the thread flushes what was only written.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lg_gateway.store.interface import Guard, StoreDown, StoreError, Tx, Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 256
"""Most transactions in one commit."""
CLOSE_S = 15.0
CROWD = 3
"""With so many callbacks ready in the event loop, some are likely to write too."""


@dataclass(frozen=True, kw_only=True)
class _WriteJob:
    work: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    durable: bool


@dataclass
class _Outcomes:
    """What each job of one batch came to; delivered only after the commit."""

    done: list[tuple[_WriteJob, Any]] = field(default_factory=list)
    failed: list[tuple[_WriteJob, BaseException]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Flush:
    """In the queue: what was only written is to be flushed at that time, by the monotonic clock."""

    due: float


class GroupCommit:
    """Runs jobs through a writer, each behind a savepoint of its own. The thread ends with `close`.

    `flush_s`: how long a transaction may be committed without being on the disk; 0 makes every one durable.
    """

    def __init__(self, writer: Writer, guard: Guard | None, *, flush_s: float = 0.0) -> None:
        self._writer = writer
        self._guard = guard
        self._flush_s = flush_s
        self._closed = False
        self._turn = threading.Lock()
        self._flush_asked = False
        self._gathered: dict[asyncio.AbstractEventLoop, list[_WriteJob]] = {}
        self._jobs: queue.SimpleQueue[_WriteJob | _Flush | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name="lg-store", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """See `Store.write`."""
        if self._closed:
            raise StoreDown("the store is closed")
        loop = asyncio.get_running_loop()
        durable = durable or not self._flush_s
        at_once = not durable and self._writer.at_once and self._jobs.empty()
        # Private, and not there in other loops: those commit each by itself.
        if at_once and (loop in self._gathered or len(getattr(loop, "_ready", ())) >= CROWD):
            return await self._gather(loop, work)
        if at_once and self._turn.acquire(blocking=False):
            try:
                done = self._write_now(work)
            finally:
                self._turn.release()
            if done is not None:
                self._flush_later()
                result: T = done[0]
                return result
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_WriteJob(work=work, loop=loop, future=future, durable=durable))
        return await future

    def _gather(self, loop: asyncio.AbstractEventLoop, work: Callable[[Tx], T]) -> asyncio.Future[T]:
        """Keep a job for the end of this turn of its event loop."""
        future: asyncio.Future[T] = loop.create_future()
        if loop not in self._gathered:
            self._gathered[loop] = []
            loop.call_soon(self._write_gathered, loop)
        self._gathered[loop].append(_WriteJob(work=work, loop=loop, future=future, durable=False))
        return future

    def _write_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs, outcomes = self._gathered.pop(loop), None
        if self._turn.acquire(blocking=False):
            try:
                outcomes = self._transact(jobs, wait=False)
            except Exception as error:  # as in the thread: those who wait are told
                log.warning("the store cannot be written: %s", error, exc_info=not isinstance(error, StoreError))
                outcomes = _all_failed(jobs, error)
            finally:
                self._turn.release()
        if outcomes is not None:
            _settle(loop, outcomes)
            self._flush_later()
            return
        for job in jobs:
            self._jobs.put(job)

    def close(self) -> None:
        """Finish what is queued."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join(timeout=CLOSE_S)

    def _write_now(self, work: Callable[[Tx], T]) -> tuple[T] | None:
        """Run one job and commit it without waiting for the disk; return `None` if another process has the turn."""
        refusal: Exception | None = None
        try:
            tx = self._writer.begin(durable=False, wait=False)
            if tx is None:
                return None
            if self._guard is not None:
                self._guard.before(tx)
            try:
                result = work(tx)
            except StoreDown:
                raise
            except Exception as error:
                refusal = error  # the job's own; the transaction is undone below
                raise
            self._writer.commit()
        except Exception as error:
            if error is refusal:
                raise
            raise _down(error) from error
        finally:
            self._writer.end()
        return (result,)

    def _flush_later(self) -> None:
        if not self._flush_asked:
            self._flush_asked = True
            self._jobs.put(_Flush(due=time.monotonic() + self._flush_s))

    def _write_forever(self) -> None:
        open_ = True
        due: float | None = None
        while open_:
            batch, flush, open_ = self._next_batch(due)
            if flush is not None:
                due = flush.due if due is None else min(due, flush.due)
            if batch:
                self._commit(batch)
                if due is None and not any(job.durable for job in batch):
                    due = time.monotonic() + self._flush_s
            if due is not None and (not open_ or time.monotonic() >= due):
                due = None
                self._flush()
            self._tidy()
        self._writer.close()

    def _next_batch(self, due: float | None) -> tuple[list[_WriteJob], _Flush | None, bool]:
        """Wait for jobs, until a flush is due; return them, a flush that is asked for, and whether more may come."""
        batch: list[_WriteJob] = []
        flush: _Flush | None = None
        wait: float | None = None if due is None else max(0.0, due - time.monotonic())
        try:
            job = self._jobs.get(timeout=wait)
            while job is not None:
                if isinstance(job, _Flush):
                    flush = job
                else:
                    batch.append(job)
                if len(batch) >= BATCH:
                    return batch, flush, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return batch, flush, True
        return batch, flush, False

    def _flush(self) -> None:
        """Put on the disk what was only written, and let the guard see how far that is."""
        self._flush_asked = False
        try:
            if self._guard is None:
                self._writer.flush()
                return
            seen = self._writer.look(self._guard.flushing)  # sees what the flush will cover
            self._writer.flush()
            with self._turn, self._writer.held():
                self._guard.flushed(seen)
        except Exception as error:  # as below: this thread goes on, and the next flush tries again
            log.warning("the store cannot be flushed: %s", error, exc_info=not isinstance(error, StoreError))

    def _tidy(self) -> None:
        try:
            self._writer.tidy(self._turn)
        except (StoreError, OSError) as error:
            log.warning("%s", error)

    def _commit(self, batch: list[_WriteJob]) -> None:
        try:
            with self._turn:
                outcomes = self._transact(batch)
            if outcomes is None:
                raise StoreDown("the store gave no turn")
        except Exception as error:  # whatever it is, those who wait are told, and this thread goes on
            log.warning("the store cannot be written: %s", error, exc_info=not isinstance(error, StoreError))
            outcomes = _all_failed(batch, error)
        _deliver(outcomes)

    def _transact(self, batch: list[_WriteJob], *, wait: bool = True) -> _Outcomes | None:
        """Run jobs in one transaction; return `None` if it is not this process's turn."""
        outcomes = _Outcomes()
        durable = any(job.durable for job in batch)
        try:
            tx = self._writer.begin(durable=durable, wait=wait)
            if tx is None:
                return None
            if self._guard is not None:
                self._guard.before(tx)
            for job in batch:
                _run(tx, job, outcomes)
            if self._guard is not None and durable:
                self._guard.committing(tx)
            self._writer.commit()
            if self._guard is not None and durable:
                self._guard.after()
        finally:
            self._writer.end()
        return outcomes


def _down(error: Exception) -> StoreDown:
    return StoreDown(f"the store cannot be written: {error}")


def _all_failed(batch: list[_WriteJob], error: Exception) -> _Outcomes:
    failure = _down(error)
    return _Outcomes(failed=[(job, failure) for job in batch])


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
