"""Where the gateway keeps what must survive it: one store, transactions that share a commit.

`Store` is the seam. `SqliteStore` is the default: write-ahead log, `synchronous=FULL`, one writer thread that commits
whatever has queued up while the previous commit was on its way to the disk. Several gateway processes may use one file:
a lock file gives them turns, the database's own write lock is the guarantee.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lg_gateway.locking import ProcessLock
from lg_gateway.schema import migrate

log = logging.getLogger(__name__)
T = TypeVar("T")
Row = tuple[Any, ...]

BATCH = 256
BUSY_S = 10.0


class StoreError(Exception):
    """The store cannot be read or written: full or read-only disk, locked by another process, damaged file."""


class Tx(Protocol):
    """One open transaction."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Run one statement with `?` placeholders and return its rows."""
        ...


class Store(Protocol):
    """Transactions on one database, safe between tasks, threads and processes."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a write transaction and return its result once the commit is durable.

        What `work` raises undoes its own changes only and is raised here. Raises `StoreError` when nothing was written.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a consistent view."""
        ...

    def close(self) -> None:
        """Finish queued transactions and close."""
        ...


class Guard(Protocol):
    """Looks at the store around every commit, while no other process can write: the ledger keeps its signed head so."""

    def before(self, tx: Tx) -> None:
        """See the store before a batch; raise `StoreError` to refuse it."""
        ...

    def after(self, tx: Tx) -> None:
        """See the store after the commit; raise `StoreError` to report it as failed."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Job:
    work: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass
class _Outcomes:
    """What each job of one batch came to; delivered only after the commit."""

    done: list[tuple[_Job, Any]] = field(default_factory=list)
    failed: list[tuple[_Job, BaseException]] = field(default_factory=list)


class _SqliteTx:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, params).fetchall()


class SqliteStore:
    """The store in one file, mode 0600, created and migrated on opening.

    Raises `StoreError` when the file cannot be opened.
    """

    def __init__(self, path: Path, *, guard: Guard | None = None, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._guard = guard
        self._busy_s = busy_s
        self._lock = ProcessLock(path.with_name(path.name + ".lock"), timeout_s=busy_s)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        try:
            _create_private(path)
            with self._lock.held():
                self._writer = connect(path, busy_s=busy_s)
                migrate(self._writer)
        except (OSError, sqlite3.Error, TimeoutError) as error:
            raise StoreError(f"cannot open the store {path}: {error}") from error
        self._reader = connect(path, busy_s=busy_s)
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._write_forever, name="lg-store", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Tx], T]) -> T:
        """See `Store.write`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work=work, loop=loop, future=future))
        return await future

    async def read(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read`."""
        return await asyncio.to_thread(self.read_now, work)

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a consistent view, in the calling thread."""
        with self._reading:
            try:
                self._reader.execute("BEGIN")
                try:
                    return work(_SqliteTx(self._reader))
                finally:
                    self._reader.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreError(f"cannot read the store {self.path}: {error}") from error

    def close(self) -> None:
        """See `Store.close`."""
        self._jobs.put(None)
        self._thread.join(timeout=self._busy_s + 5)
        self._reader.close()

    def _write_forever(self) -> None:
        open_ = True
        while open_:
            batch: list[_Job] = []
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

    def _commit(self, batch: list[_Job]) -> None:
        outcomes = _Outcomes()
        try:
            with self._lock.held(), self._transaction():
                if self._guard is not None:
                    self._guard.before(_SqliteTx(self._writer))
                for job in batch:
                    self._run(job, outcomes)
                self._writer.execute("COMMIT")
                if self._guard is not None:
                    self._guard.after(_SqliteTx(self._writer))
        except (sqlite3.Error, OSError, TimeoutError, StoreError) as error:
            log.warning("the store cannot be written: %s", error)
            failure = StoreError(f"the store cannot be written: {error}")
            outcomes = _Outcomes(failed=[(job, failure) for job in batch])
        _deliver(outcomes)

    def _run(self, job: _Job, outcomes: _Outcomes) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            result = job.work(_SqliteTx(self._writer))
        except (sqlite3.Error, StoreError):
            raise  # the file, not this job: the whole batch is undone
        except Exception as error:  # noqa: BLE001  a job's own refusal belongs to its caller, who is given it below
            self._writer.execute("ROLLBACK TO job")
            self._writer.execute("RELEASE job")
            outcomes.failed.append((job, error))
        else:
            self._writer.execute("RELEASE job")
            outcomes.done.append((job, result))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")


def connect(path: Path, *, busy_s: float = BUSY_S, read_only: bool = False) -> sqlite3.Connection:
    """Open the database file with the settings every user of it needs; transactions are explicit."""
    target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_s)
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextmanager
def read_store(path: Path) -> Iterator[Tx]:
    """Open an existing store for reading alone, for commands beside a running gateway. Raises `StoreError`."""
    try:
        connection = connect(path, read_only=True)
        try:
            yield _SqliteTx(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the store {path}: {error}") from error


def _create_private(path: Path) -> None:
    """Create the file as 0600 before SQLite sees it: its -wal and -shm files inherit the mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600))


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
