"""The tables of runs in PostgreSQL: for workers and APIs on any number of machines.

One connection at a time for each transaction, from a small pool that replaces broken ones, so that a restart of the
server costs a worker nothing but the time. Needs a direct address: a pooler that shares sessions between clients breaks
the locks by which workers show that they live.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from lg_orch.contracts.errors import StoreGone
from lg_orch.service.records.schema import EVENT_TABLES, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lg_orch.service.records.interface import Row, Transaction

CONNECTIONS = 8
WAIT_S = 10.0
"""Seconds until a store that gives no connection counts as gone."""
SETUP_LOCK = 6_077_251_103
"""Only one program makes the tables at a time."""


class PostgresDatabase:
    """One database. `url` may carry a schema in `options`."""

    shared = True
    locking = " FOR SHARE"

    def __init__(self, url: str) -> None:
        self.url = url
        options = {"autocommit": True, "connect_timeout": int(WAIT_S), "application_name": "lg-orch service"}
        options |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        self._pool = ConnectionPool(
            url, kwargs=options, min_size=1, max_size=CONNECTIONS, timeout=WAIT_S, open=False,
            check=ConnectionPool.check_connection,
        )  # fmt: skip
        self._pool.open()
        with self.transaction() as tx:
            tx.execute(f"SELECT pg_advisory_xact_lock({SETUP_LOCK})")
            for statement in (*TABLES, *EVENT_TABLES):
                tx.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open one. Raises `StoreGone` when the server cannot be reached or ends it."""
        try:
            with self._pool.connection() as connection, connection.transaction():
                yield _PostgresTransaction(connection)
        except (psycopg.Error, PoolTimeout) as error:
            raise gone(error) from error

    def once(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement as a transaction of its own. Raises `StoreGone`."""
        try:
            with self._pool.connection() as connection:
                return _PostgresTransaction(connection).execute(statement, parameters)
        except (psycopg.Error, PoolTimeout) as error:
            raise gone(error) from error

    def close(self) -> None:
        """Close its connections."""
        self._pool.close()


class _PostgresTransaction:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        cursor = self._connection.execute(statement.replace("?", "%s").encode(), tuple(parameters))
        return cursor.fetchall() if cursor.description is not None else []

    def now(self) -> float:
        """Return the server's time."""
        return float(self.execute("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0])


def gone(error: Exception) -> StoreGone:
    """Return the error for a store that does not do what it is asked."""
    return StoreGone(f"PostgreSQL cannot be used: {str(error).strip() or type(error).__name__}")


class Presence:
    """A worker's lock, held by a connection of its own: the server frees it when the worker's process has ended."""

    def __init__(self, url: str, worker: str) -> None:
        """Raise `StoreGone` when the server cannot be reached."""
        self._url = url
        self._worker = worker
        self._connection: psycopg.Connection[Any] | None = None
        self.renew()

    def renew(self) -> None:
        """Take the lock again where the connection was lost. Raises `StoreGone`."""
        try:
            if self._connection is not None and not self._connection.closed:
                self._connection.execute("SELECT 1")
                return
        except psycopg.Error:
            self.release()
        try:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=int(WAIT_S), keepalives_idle=10, keepalives_interval=5,
                keepalives_count=3, application_name=f"lg-orch worker {self._worker}",
            )  # fmt: skip
            self._connection.execute(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"lg-orch worker {self._worker}",)
            )
        except psycopg.Error as error:
            raise gone(error) from error

    def release(self) -> None:
        """Give the lock up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def is_dead(tx: Transaction, worker: str, /) -> bool:
    """Tell whether a worker's process has ended: nobody holds its lock."""
    held = "SELECT pg_try_advisory_xact_lock(hashtextextended(?, 0))"
    return bool(tx.execute(held, (f"lg-orch worker {worker}",))[0][0])
