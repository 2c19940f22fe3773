"""Stores the tasks of servers, each under an id of our own and for the caller whose call it is.

A row has all that is needed to end the call's record, so any gateway process can do that. Only the process that owns a
row asks the server; others leave in the row what it should tell the server. Rows carry a keyed code. Not covered: a row
that is removed or put back as it once was; the server still knows the task, and the ledger how often the call ended.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lg_gateway.store.interface import StoreEdited, StoreError, Tx
from lg_gateway.store.keyed_rows import RowMac

TASK_ID = re.compile(r"tk-[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class KeptTask:
    """One task. Times are seconds since the epoch.

    `call` is what the end of the call's record needs. `questions` maps the keys that the client knows to the questions
    of the server that are open. `answers` are on their way to the server, by its own keys; `answered` names all that
    were ever given. `result` or `error` is what the client gets in the end.
    """

    id: str
    identity: str
    request_id: str
    server: str
    place: str
    """What the settings say of the server: a task of another one under the same name is none of ours."""
    theirs: str
    """The server's own id."""
    incarnation: str
    owner: str
    created: float
    updated: float
    expires: float
    status: str
    message: str = ""
    ttl_ms: int | None = None
    poll_ms: int | None = None
    open: bool = True
    cancel: bool = False
    """Whether the server is to be told that the task is given up."""
    call: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    answered: tuple[str, ...] = ()
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


Change = Callable[[KeptTask], KeptTask | None]
"""Returns a task as it is from now on; `None` if nothing changes."""


class TaskTable:
    """Reads and writes tasks inside transactions."""

    def __init__(self, key: bytes) -> None:
        self._code = RowMac(key, "a task")

    def add(self, tx: Tx, task: KeptTask) -> None:
        """Write a new task."""
        tx.execute(
            "INSERT INTO tasks (id, identity, request_id, waiting, expires, body, mac) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (task.id, task.identity, task.request_id, int(task.open), task.expires, *self._code.sealed(asdict(task))),
        )

    def find(self, tx: Tx, identity: str, task_id: str) -> KeptTask | None:
        """Return a caller's own task. Raises `StoreError` for a row that was not written here."""
        if TASK_ID.fullmatch(task_id) is None:
            return None
        sql = "SELECT body, mac FROM tasks WHERE id = ? AND identity = ?"
        rows = tx.execute(sql, (task_id, identity))
        found = self._read(rows[0]) if rows else None
        if found is not None and (found.id, found.identity) != (task_id, identity):
            raise StoreEdited("a task in the store was not written by this gateway")
        return found

    def of_call(self, tx: Tx, identity: str, request_id: str) -> KeptTask | None:
        """Return the task that a call became."""
        sql = "SELECT body, mac FROM tasks WHERE request_id = ? AND identity = ?"
        rows = tx.execute(sql, (request_id, identity))
        found = self._read(rows[0]) if rows else None
        return found if found is not None and (found.request_id, found.identity) == (request_id, identity) else None

    def open(self, tx: Tx) -> list[KeptTask]:
        """Return all tasks that have not ended. A row that was not written here is left out."""
        rows = tx.execute("SELECT body, mac FROM tasks WHERE waiting = 1")
        return [self._read(row) for row in rows if self._code.fits(row[0], row[1])]

    def count(self, tx: Tx, identity: str) -> int:
        """Return how many tasks of a caller have not ended."""
        sql = "SELECT count(*) FROM tasks WHERE identity = ? AND waiting = 1"
        return int(tx.execute(sql, (identity,))[0][0])

    def change(self, tx: Tx, task: KeptTask, change: Change) -> KeptTask:
        """Change a task as it is now, and return it. One that has ended stays as it is."""
        current = self.find(tx, task.identity, task.id)
        if current is None:
            raise StoreError("a task is gone from the store")
        changed = change(current) if current.open else None
        if changed is None:
            return current
        tx.execute(
            "UPDATE tasks SET waiting = ?, expires = ?, body = ?, mac = ? WHERE id = ?",
            (int(changed.open), changed.expires, *self._code.sealed(asdict(changed)), changed.id),
        )
        return changed

    def take_over(self, tx: Tx, task: KeptTask, owner: str) -> KeptTask:
        """Make another process the owner of a task, unless somebody else has become it meanwhile."""
        return self.change(tx, task, lambda now: replace(now, owner=owner) if now.owner == task.owner else None)

    def _read(self, row: tuple[Any, ...]) -> KeptTask:
        body = self._code.opened(row[0], row[1])
        return KeptTask(**(body | {"answered": tuple(body["answered"])}))


def new_task_id() -> str:
    """Return an id that nobody can guess."""
    return f"tk-{secrets.token_hex(16)}"
