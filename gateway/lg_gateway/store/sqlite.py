"""Keeps the store in one SQLite file, with a write-ahead log.

A durable transaction is committed with `synchronous=FULL`. Any other is only written to the log file: `flush` puts that
on the disk, and so does the next durable transaction, as the log is one file in the order of the commits.

Several gateway processes may use one file. They take turns with a lock file. The database's own write lock guarantees
that only one writes.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from lg_gateway.store.group_commit import GroupCommit
from lg_gateway.store.interface import BUSY_S, Guard, Row, StoreDown, StoreError, Tx
from lg_gateway.store.locking import ProcessLock
from lg_gateway.store.schema import check_version, migrate_sqlite

T = TypeVar("T")

COPY_AFTER = 100
"""Commits after which the log is copied into the database file. A commit of a call writes about ten pages."""
LONG_LOG_PAGES = 2_000
"""With more pages in the log, it is copied again, so that it starts anew. With twice as many, writers wait for that."""
COPIES = 4
"""Copies of a long log that are tried before writers wait: a copy waits for the disk."""

# What a statement did wrong by itself; everything else that SQLite raises is about the file.
_OWN_FAULT = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class SqliteStore:
    """The store in one file, mode 0600, created and migrated on opening.

    Raises `StoreDown` when the file cannot be opened, `StoreTooNew` when a newer version wrote it.
    """

    def __init__(self, path: Path, *, guard: Guard | None = None, busy_s: float = BUSY_S, flush_s: float = 0.0) -> None:
        self.path = path
        try:
            _create_private(path)
            lock = ProcessLock(path.with_name(path.name + ".lock"), timeout_s=busy_s)
            with lock.held():
                connection = _migrated(path, busy_s)
            self._reader = connect(path, busy_s=busy_s)
        except (OSError, sqlite3.Error) as error:
            raise StoreDown(f"cannot open the store {path}: {error}{_remedy(error)}") from error
        self._reading = threading.Lock()
        self._commits = GroupCommit(_SqliteWriter(connection, lock, path, busy_s), guard, flush_s=flush_s)

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """See `Store.write`."""
        return await self._commits.write(work, durable=durable)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read`."""
        return await asyncio.to_thread(self.read_now, work)

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read_now`."""
        if not self._reading.acquire(blocking=False):
            return self._read_beside(work)
        try:
            with _reading(self._reader, self.path) as tx:
                return work(tx)
        finally:
            self._reading.release()

    def _read_beside(self, work: Callable[[Tx], T]) -> T:
        """Read over a connection of its own: a long read, as of a whole segment, must not hold up the others."""
        try:
            connection = connect(self.path)
        except sqlite3.Error as error:
            raise StoreDown(f"cannot read the store {self.path}: {error}") from error
        try:
            with _reading(connection, self.path) as tx:
                return work(tx)
        finally:
            connection.close()

    def close(self) -> None:
        """See `Store.close`."""
        self._commits.close()
        if not self._reading.acquire(blocking=False):
            self._reader.interrupt()  # a long read ends with an error rather than hold up the end
            self._reading.acquire()  # a connection that is closed under a statement ends the process
        try:
            with suppress(sqlite3.ProgrammingError):  # it is closed already
                # Without a statement an interruption that came late would stop the copy of the log into the file.
                self._reader.execute("SELECT 1").fetchone()
            self._reader.close()
        finally:
            self._reading.release()


class _SqliteTx:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except (*_OWN_FAULT, UnicodeEncodeError) as error:
            raise StoreError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreDown(str(error)) from error


class _SqliteWriter:
    at_once = True

    def __init__(self, connection: sqlite3.Connection, lock: ProcessLock, path: Path, busy_s: float) -> None:
        self._connection = connection
        self._tx = _SqliteTx(connection)
        self._lock = lock
        self._log_path = path.with_name(path.name + "-wal")
        self._busy_ms = int(busy_s * 1000)
        self._mode: tuple[bool, bool] | None = None
        self._commits = 0
        self._beside: sqlite3.Connection | None = None
        self._path = path
        self._file = _identity(path)
        self._tx.execute("PRAGMA wal_autocheckpoint=0")

    def begin(self, *, durable: bool, wait: bool = True) -> Tx | None:
        if not wait:
            if not self._lock.take():
                return None
        else:
            try:
                self._lock.acquire()
            except OSError as error:
                raise StoreDown(str(error)) from error
        if _identity(self._path) != self._file:  # what is written into a file without a name is lost
            raise StoreDown(f"the store {self._path} was removed or replaced; put it back, or start the gateway again")
        self._set_mode(durable, wait)
        try:
            self._tx.execute("BEGIN IMMEDIATE")
        except StoreDown:
            if wait:
                raise
            return None  # a program that has the file open without the lock: whoever may wait can try again
        return self._tx

    def commit(self) -> None:
        self._tx.execute("COMMIT")
        self._commits += 1

    def end(self) -> None:
        try:
            if self._connection.in_transaction:
                self._tx.execute("ROLLBACK")
        finally:
            self._lock.release()

    def flush(self) -> None:
        try:
            fd = os.open(self._log_path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
            try:
                _sync(fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return  # the log was copied into the database file, which was synced then
        except OSError as error:
            raise StoreDown(f"cannot flush {self._log_path}: {error}") from error

    def held(self) -> AbstractContextManager[object]:
        return self._lock.held()

    def look(self, work: Callable[[Tx], T]) -> T:
        with _reading(self._second(), self._path) as tx:
            return work(tx)

    def tidy(self, turn: AbstractContextManager[object]) -> None:
        if self._commits < COPY_AFTER:
            return
        self._commits = 0
        # The log starts anew only if nobody has written since all of it was copied. Mostly there is such a moment.
        for _ in range(COPIES):
            pages, copied = self._copy()
            if pages <= LONG_LOG_PAGES or copied >= pages:
                return
        if pages > 2 * LONG_LOG_PAGES:
            with turn, self._lock.held():
                self._copy()

    def _copy(self) -> tuple[int, int]:
        """Copy the log into the database file, beside those who write; return the pages in it, and those copied."""
        try:
            rows = self._second().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise StoreDown(f"cannot copy the log into {self._path}: {error}") from error
        return int(rows[0][1]), int(rows[0][2])

    def _second(self) -> sqlite3.Connection:
        """Return a connection beside the one that writes: what it does holds up no writer."""
        if self._beside is None:
            try:
                self._beside = connect(self._path, busy_s=self._busy_ms / 1000)
            except sqlite3.Error as error:
                raise StoreDown(f"cannot open the store {self._path}: {error}{_remedy(error)}") from error
        return self._beside

    def close(self) -> None:
        if self._beside is not None:
            self._beside.close()
        self._connection.close()
        self._lock.close()

    def _set_mode(self, *modes: bool) -> None:
        """Make the connection wait, or not, for the disk and for programs that have the file open without the lock."""
        if self._mode == modes:
            return
        durable, wait = modes
        self._tx.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._tx.execute(f"PRAGMA busy_timeout={self._busy_ms if wait else 0}")
        self._mode = (durable, wait)


_sync = getattr(os, "fdatasync", os.fsync)  # what SQLite itself uses; it writes a new length too


def connect(path: Path, *, busy_s: float = BUSY_S, read_only: bool = False) -> sqlite3.Connection:
    """Open the database file with the settings every user of it needs; transactions are explicit."""
    target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_s)
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _migrated(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = connect(path, busy_s=busy_s)
    try:
        migrate_sqlite(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def read_sqlite(path: Path) -> Iterator[Tx]:
    """Open an existing file for reading only, for commands while a gateway may be running. Raises `StoreError`.

    Each statement sees the newest state, unless the caller begins a transaction.
    """
    if path.exists() and not path.is_file():
        raise StoreDown(f"cannot read the store {path}: it is no regular file")  # a pipe would be waited for
    try:
        connection = connect(path, read_only=True)
    except sqlite3.Error as error:
        raise StoreDown(f"cannot read the store {path}: {error}") from error
    try:
        tx = _SqliteTx(connection)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise StoreDown(f"cannot read the store {path}: {error}{_remedy(error)}") from error
        check_version(int(version))
        yield tx
    finally:
        connection.close()


@contextmanager
def _reading(connection: sqlite3.Connection, path: Path) -> Iterator[Tx]:
    try:
        connection.execute("BEGIN")
    except sqlite3.Error as error:
        raise StoreDown(f"cannot read the store {path}: {error}") from error
    try:
        yield _SqliteTx(connection)
    finally:
        connection.execute("ROLLBACK")


def _remedy(error: Exception) -> str:
    """What to do about a file that is damaged; empty for what may pass or is about the disk."""
    damaged = type(error) is sqlite3.DatabaseError
    return "; put it back from a backup, or move it away and run `lg-gateway audit restart`" if damaged else ""


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file has that name now, `None` for none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create_private(path: Path) -> None:
    """Create the file as 0600 before SQLite sees it: its -wal and -shm files inherit the mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600))
