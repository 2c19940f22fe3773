"""Defines the store: transactions on one database, shared by tasks, threads and processes.

`SqliteStore` (the default) and `PostgresStore` implement it and pass the same tests; `open_store` chooses by setting.
Statements are written once, in the SQL that both understand: `?` placeholders, `INSERT … ON CONFLICT`, no `OR REPLACE`,
no NUL characters in text (PostgreSQL has none).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_S = 10.0
"""How long a write waits for its turn before it is refused."""


class StoreError(Exception):
    """Something cannot be read or written. Raised inside a job it undoes that job alone."""


class StoreDown(StoreError):
    """The store itself fails: full or read-only disk, locked by another process, damaged file, no connection.

    Raised inside a job it undoes the whole batch.
    """


class StoreTooNew(StoreError):
    """The store was written by a newer version of this program."""


class StoreTooOld(StoreError):
    """The store has not been brought up to date yet; opening it for writing does so."""


class Tx(Protocol):
    """One open transaction."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """Run one statement with `?` placeholders and return its rows.

        Raises `StoreDown` when the store fails, `StoreError` when it refuses this statement (a broken constraint).
        """
        ...


class Store(Protocol):
    """Transactions on one database, safe between tasks, threads and processes."""

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a write transaction and return its result once the commit is durable.

        No other process writes meanwhile. What `work` raises undoes its own changes only and is raised here. Raises
        `StoreError` when nothing was written, or when a lost connection leaves that open.
        """
        ...

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a consistent view, in a thread of its own."""
        ...

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a consistent view, in the calling thread."""
        ...

    def close(self) -> None:
        """Finish queued transactions and close."""
        ...


class Guard(Protocol):
    """Looks at the store around every commit, while no other process can write: the ledger keeps its signed head so."""

    def before(self, tx: Tx) -> None:
        """See the store before a batch; raise `StoreDown` to refuse it."""
        ...

    def committing(self, tx: Tx) -> None:
        """See the store as it will be after the commit."""
        ...

    def after(self) -> None:
        """The commit is durable; raise `StoreDown` to report it as failed all the same."""
        ...


class Writer(Protocol):
    """One connection that a single thread writes through, one transaction at a time."""

    def begin(self) -> Tx:
        """Wait for this process's turn and open a transaction. Raises `StoreDown`."""
        ...

    def commit(self) -> None:
        """Make the transaction durable. Raises `StoreDown`."""
        ...

    def end(self) -> None:
        """Undo what was not committed and give the turn away. Does nothing where there is none."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
