"""Threads: what clients of LangGraph Server put runs into, one after the other."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_policy.errors import Conflict, LimitExceeded, NotFound

if TYPE_CHECKING:
    from lg_orch.service.records.interface import Database, Row

MAX_THREADS = 100_000
_COLUMNS = "thread_id, metadata, created_by, created"


@dataclass(frozen=True, kw_only=True)
class Thread:
    """One thread. Its time is seconds since the epoch."""

    thread_id: str
    metadata: Mapping[str, Any]
    created_by: str
    created: float
    runs: tuple[str, ...]
    """Its runs, oldest first."""


class ThreadTable:
    """The threads of one database. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, thread_id: str | None, metadata: Mapping[str, Any], by: str, *, again: bool = False) -> Thread:
        """Keep a thread. Raises `Conflict` for one that is there, unless `again`; `LimitExceeded`."""
        named = thread_id or str(uuid.uuid4())
        with self._database.transaction() as tx:
            if int(tx.execute("SELECT count(*) FROM lg_threads")[0][0]) >= MAX_THREADS:
                raise LimitExceeded(f"there are {MAX_THREADS} threads", hint="an operator removes old ones")
            made = tx.execute(
                "INSERT INTO lg_threads (thread_id, metadata, created_by, created) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (thread_id) DO NOTHING RETURNING thread_id",
                (named, json.dumps(dict(metadata)), by, tx.now()),
            )
        if not made and not again:
            raise Conflict(f"there is a thread {named} already")
        return self.get(named)

    def get(self, thread_id: str) -> Thread:
        """Return a thread. Raises `NotFound`."""
        with self._database.transaction() as tx:
            rows = tx.execute(f"SELECT {_COLUMNS} FROM lg_threads WHERE thread_id = ?", (thread_id,))  # noqa: S608  own names
            runs = tx.execute(
                "SELECT t.run_id FROM lg_thread_runs t JOIN lg_runs r ON r.run_id = t.run_id WHERE t.thread_id = ? "
                "ORDER BY r.created, r.run_id",
                (thread_id,),
            )
        if not rows:
            raise NotFound(f"there is no thread {thread_id!r}", hint="create one with POST /lg/threads")
        return _thread(rows[0], tuple(str(row[0]) for row in runs))

    def newest(self, limit: int) -> list[Thread]:
        """Return the newest threads."""
        with self._database.transaction() as tx:
            rows = tx.execute("SELECT thread_id FROM lg_threads ORDER BY created DESC LIMIT ?", (limit,))
        return [self.get(str(row[0])) for row in rows]

    def add_run(self, thread_id: str, run_id: str) -> None:
        """Put a run at the end of a thread."""
        with self._database.transaction() as tx:
            tx.execute(
                "INSERT INTO lg_thread_runs (thread_id, run_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (thread_id, run_id),
            )


def _thread(row: Row, runs: tuple[str, ...]) -> Thread:
    return Thread(thread_id=row[0], metadata=json.loads(row[1]), created_by=row[2], created=row[3], runs=runs)
