"""Defines the store: transactions on one database, shared by tasks, threads and processes.

`SqliteStore` (the default) and `PostgresStore` implement it and pass the same tests; `open_store` chooses by setting.
Statements are written once, in the SQL that both understand: `?` placeholders, `INSERT … ON CONFLICT`, no `OR REPLACE`,
no NUL characters in text (PostgreSQL has none).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
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


class StoreEdited(StoreError):
    """What decides something is not as this gateway wrote it: a row was changed or removed without the keys."""


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

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """Run `work` in a write transaction and return its result once the commit is durable.

        With `durable=False`, return as soon as the commit is written: a killed process loses nothing, but a power cut
        may lose it, with everything after it. The next durable commit or flush puts it on the disk; a store without a
        pause between flushes waits always. Such work must be short: it may run in the event loop.

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
        """Everything up to what `committing` saw is durable; raise `StoreDown` to report it as failed all the same."""
        ...

    def flushing(self, tx: Tx) -> Any:
        """See what is committed, before it is flushed and while others write; raise `StoreDown` if it is not right.

        Runs in another thread than the rest; returns what `flushed` needs.
        """
        ...

    def flushed(self, seen: Any) -> None:
        """Everything up to what `flushing` saw is durable. No other process writes meanwhile."""
        ...


class Writer(Protocol):
    """One connection for writing, one transaction at a time."""

    at_once: bool
    """Whether a commit that is not durable is so quick that the event loop can wait for it."""

    def begin(self, *, durable: bool, wait: bool = True) -> Tx | None:
        """Wait for this process's turn and open a transaction. Raises `StoreDown`.

        Without `wait`, return `None` if it is another process's turn.
        """
        ...

    def commit(self) -> None:
        """Commit; wait for the disk if the transaction was begun as a durable one. Raises `StoreDown`."""
        ...

    def end(self) -> None:
        """Undo what was not committed and give the turn away. Does nothing where there is none."""
        ...

    def look(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on what is committed, without taking a turn. Raises `StoreDown`."""
        ...

    def flush(self) -> None:
        """Put on the disk what was committed. Needs no turn. Raises `StoreDown`."""
        ...

    def held(self) -> AbstractContextManager[object]:
        """Keep other processes of this machine from writing, without a transaction. Raises `TimeoutError`."""
        ...

    def tidy(self, turn: AbstractContextManager[object]) -> None:
        """Do what is due from time to time between transactions. Raises `StoreDown`.

        Others may write meanwhile, except while this holds `turn`, which keeps this process from it.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
