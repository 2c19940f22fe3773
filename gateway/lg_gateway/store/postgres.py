"""Keeps the store in a PostgreSQL database, for gateways on several machines. Needs psycopg (extra `postgres`).

All gateways of a schema take turns with one advisory lock, so they write one chain. A transaction takes the lock before
it reads anything. It runs at `READ COMMITTED`, so it then reads what the gateway before it committed. Gateways on one
machine share the signed head; they take turns with a lock file beside it.

A transaction that need not wait for the disk is committed with `synchronous_commit = off`.

Not covered: durability, which depends on the server (`fsync`, replication). If the connection is lost during a commit,
it is not known whether the commit took place; it is reported as a failure.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from lg_gateway.store.group_commit import GroupCommit
from lg_gateway.store.interface import BUSY_S, Guard, Row, StoreDown, StoreError, Tx
from lg_gateway.store.locking import ProcessLock
from lg_gateway.store.schema import check_version, migrate_postgres
from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command

if TYPE_CHECKING:
    from psycopg import Connection

log = logging.getLogger(__name__)
T = TypeVar("T")

TURN = 0x1E06E2  # any number, the same in every gateway: the first half of the advisory lock's name
CANCEL_S = 5.0
"""How long the server may take to be told that a statement is to end."""
IDLE_S = 30
"""If a gateway stops in the middle of a transaction, the server ends the transaction and its turn after this."""


class PostgresStore:
    """The store behind a `postgresql://` address, migrated on opening. `lock_path` is private to this machine's user.

    Raises `ConfigError` when psycopg is missing, `StoreDown` when the server cannot be used, `StoreTooNew`.
    """

    def __init__(
        self, url: str, *, lock_path: Path, guard: Guard | None = None, busy_s: float = BUSY_S, flush_s: float = 0.0
    ) -> None:
        self.shown = without_password(url)
        self._connect = Connector(url, busy_s)
        writer = _PostgresWriter(self._connect, ProcessLock(lock_path, timeout_s=busy_s))
        try:
            writer.migrate()
        except BaseException:
            writer.close()
            raise
        self._reader: Connection[Any] | None = None
        self._reading = threading.Lock()
        self._closed = False
        self._commits = GroupCommit(writer, guard, flush_s=flush_s)

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """See `Store.write`."""
        return await self._commits.write(work, durable=durable)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read`."""
        return await asyncio.to_thread(self.read_now, work)

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read_now`."""
        with self._reading:
            if self._closed:
                raise StoreDown("the store is closed")
            self._reader = _begin(self._reader, self._connect, "REPEATABLE READ READ ONLY")
            try:
                return work(_PostgresTx(self._reader))
            finally:
                _roll_back(self._reader)

    def close(self) -> None:
        """See `Store.close`."""
        self._commits.close()
        self._closed = True
        if not self._reading.acquire(blocking=False):
            if self._reader is not None:
                _cancel(self._reader)  # a long read ends with an error rather than hold up the end
            self._reading.acquire()  # a connection that is closed under a statement leaves its reader waiting
        try:
            if self._reader is not None:
                self._reader.close()
        finally:
            self._reading.release()


class Connector:
    """Opens connections with the same options. Raises `ConfigError` when psycopg is missing."""

    def __init__(self, url: str, busy_s: float) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise ConfigError(
                "store.url is a PostgreSQL address, and psycopg is not installed",
                hint=f"install it: {extra_command('postgres')}",
            ) from error
        self._open = psycopg.connect
        self._url = url
        self._busy_s = busy_s

    def __call__(self) -> Connection[Any]:
        """Return a new connection in autocommit: transactions are explicit. Raises `StoreDown`."""
        import psycopg

        milliseconds = int(self._busy_s * 1000)
        try:
            connection = self._open(
                self._url,
                autocommit=True,
                connect_timeout=max(2, int(self._busy_s)),
                application_name="lg-gateway",
                tcp_user_timeout=milliseconds,
            )
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false), set_config('lock_timeout', %s, false),"
                " set_config('idle_in_transaction_session_timeout', %s, false)",
                (f"{milliseconds}ms", f"{IDLE_S}s"),
            )
        except psycopg.Error as error:
            raise StoreDown(f"cannot use the store {without_password(self._url)}: {_line(error)}") from error
        return connection


class _PostgresTx:
    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        import psycopg

        try:
            cursor = self._connection.execute(_placed(sql), params or None)
            return cursor.fetchall() if cursor.description is not None else []
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, UnicodeEncodeError) as error:
            raise StoreError(_line(error)) from error
        except psycopg.Error as error:
            raise StoreDown(_line(error)) from error


class _PostgresWriter:
    at_once = False

    def __init__(self, connect: Connector, lock: ProcessLock) -> None:
        self._connect = connect
        self._lock = lock
        self._connection: Connection[Any] | None = None

    def migrate(self) -> None:
        """Bring the schema up to date, one gateway at a time."""
        import psycopg

        try:
            self.begin(durable=True)
            if self._connection is not None:
                migrate_postgres(self._connection)
            self.commit()
        except psycopg.Error as error:
            raise StoreDown(f"cannot prepare the store: {_line(error)}") from error
        finally:
            self.end()

    def begin(self, *, durable: bool, wait: bool = True) -> Tx | None:
        if not wait and not self._lock.take():
            return None
        try:
            self._lock.acquire()
        except OSError as error:
            raise StoreDown(str(error)) from error
        self._connection = _begin(self._connection, self._connect, "READ COMMITTED")
        tx = _PostgresTx(self._connection)
        if not durable:
            tx.execute("SET LOCAL synchronous_commit = off")
        tx.execute("SELECT pg_advisory_xact_lock(?, hashtext(current_schema()::text))", (TURN,))
        return tx

    def commit(self) -> None:
        if self._connection is None or self._connection.closed:
            raise StoreDown("the connection to the store was lost before the commit")
        _PostgresTx(self._connection).execute("COMMIT")

    def end(self) -> None:
        if self._connection is not None:
            _roll_back(self._connection)
        self._lock.release()

    def held(self) -> AbstractContextManager[object]:
        return self._lock.held()

    def look(self, work: Callable[[Tx], T]) -> T:
        self._connection = _begin(self._connection, self._connect, "READ COMMITTED")
        try:
            return work(_PostgresTx(self._connection))
        finally:
            _roll_back(self._connection)

    def flush(self) -> None:
        # A synchronous commit waits until the server's log is on the disk, with all commits before it; but only a
        # transaction that has changed something waits at all.
        self._connection = _begin(self._connection, self._connect, "READ COMMITTED")
        try:
            tx = _PostgresTx(self._connection)
            tx.execute("UPDATE lg_schema SET version = version WHERE version = (SELECT max(version) FROM lg_schema)")
            tx.execute("COMMIT")
        finally:
            _roll_back(self._connection)

    def tidy(self, turn: AbstractContextManager[object]) -> None:
        """Do nothing: the server tidies up."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._lock.close()


@contextmanager
def read_postgres(url: str) -> Iterator[Tx]:
    """Connect for reading only, for commands while a gateway may be running. Raises `ConfigError`, `StoreError`.

    Each statement sees the newest state, unless the caller begins a transaction.
    """
    connection = Connector(url, BUSY_S)()
    try:
        tx = _PostgresTx(connection)
        tx.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        version = 0
        if tx.execute("SELECT to_regclass('lg_schema')")[0][0]:
            version = int(tx.execute("SELECT coalesce(max(version), 0) FROM lg_schema")[0][0])
        check_version(version)
        yield tx
    finally:
        connection.close()


def without_password(url: str) -> str:
    """Return an address that is safe to show: without its password and parameters."""
    parts = urlsplit(url)
    who, _, where = parts.netloc.rpartition("@")
    user = who.partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{where}" if user else where, parts.path, "", ""))


def _begin(known: Connection[Any] | None, connect: Connector, level: str) -> Connection[Any]:
    """Open a transaction and return its connection: the known one, or a new one if that was lost.

    Nothing has been done yet, so it is safe to try again. After this, a lost connection is an error.
    """
    import psycopg

    statement = f"BEGIN ISOLATION LEVEL {level}".encode("ascii")
    if known is not None and not known.closed:
        try:
            known.execute(statement)
            return known
        except psycopg.Error as error:
            log.info("reconnecting to the store: %s", _line(error))
            with suppress(psycopg.Error):
                known.close()
    fresh = connect()
    try:
        fresh.execute(statement)
    except psycopg.Error as error:
        fresh.close()
        raise StoreDown(_line(error)) from error
    return fresh


def _cancel(connection: Connection[Any]) -> None:
    """End the statement that another thread runs. Where the server cannot be asked, it ends by itself."""
    import psycopg

    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_S)


def _roll_back(connection: Connection[Any]) -> None:
    """Roll back the open transaction. If that fails, close the connection; the next use opens another."""
    import psycopg
    from psycopg.pq import TransactionStatus

    if connection.closed or connection.info.transaction_status is TransactionStatus.IDLE:
        return
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error as error:
        log.info("closing a connection to the store: %s", _line(error))
        with suppress(psycopg.Error):
            connection.close()


@cache
def _placed(sql: str) -> bytes:
    """Return a statement with the driver's placeholders. Statements are constants, so there are few to keep."""
    return sql.replace("%", "%%").replace("?", "%s").encode("ascii")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
