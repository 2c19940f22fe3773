"""The tables of runs in one SQLite file: for one machine."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import StoreGone
from lg_orch.service.records.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lg_orch.service.records.interface import Row, Transaction

BUSY_S = 30
"""Seconds that a transaction waits for another one's end."""


class SqliteDatabase:
    """One file. Transactions of this process take turns; those of others are waited for."""

    shared = False
    locking = ""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.transaction() as tx:
            for statement in TABLES:
                tx.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open one that may write. Raises `StoreGone` when the file cannot be used."""
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield _SqliteTransaction(self._connection)
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreGone(f"the file of runs cannot be used: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def is_dead(_tx: Transaction, worker: str, /) -> bool:
    """Tell whether a worker's process has ended, by its name, which begins with the host and the process id."""
    host, _, rest = worker.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        return self._connection.execute(statement, tuple(parameters)).fetchall()

    def now(self) -> float:
        """Return this machine's time."""
        return time.time()
