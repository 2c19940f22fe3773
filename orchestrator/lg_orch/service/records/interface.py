"""What a database gives to the tables of runs: transactions with one dialect, and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

Row = tuple[Any, ...]


class Transaction(Protocol):
    """One transaction; `?` stands for a parameter."""

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        ...

    def now(self) -> float:
        """Return the time in seconds since the epoch, by the clock that all workers share."""
        ...


class WorkerPresence(Protocol):
    """Shows other machines that a worker's process lives."""

    def renew(self) -> None:
        """Take it again where it was lost. Raises `StoreGone`."""
        ...

    def release(self) -> None:
        """Give it up."""
        ...


class Database(Protocol):
    """Opens transactions. May be used from any thread."""

    shared: bool
    """Whether workers on other machines use it too."""
    locking: str
    """What ends a SELECT whose rows stay as they are until the transaction ends."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open one; committed at the end of the block, undone by an error."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


def for_update(database: Database) -> str:
    """Return what ends a SELECT whose rows this transaction changes: nobody else does before it ends."""
    return database.locking.replace("SHARE", "UPDATE")
