"""Reads and writes the rows of runs: created once, claimed by one worker at a time, given back with a result."""

from __future__ import annotations

import json
import secrets
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lg_orch.service.records.interface import for_update
from lg_orch.service.records.rows import ENDED, RunRow, Said
from lg_policy.errors import Conflict, LimitExceeded, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.service.records.interface import Database, Row, Transaction
    from lg_orch.service.records.rows import Filter, NewRun, RunPhase, Work

COLUMNS = tuple(field.name for field in fields(RunRow))
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM lg_runs"  # noqa: S608  names of our own
RETURNED = ", ".join(COLUMNS)
_JSON = frozenset({"options", "report", "undo"})
ANY_RUN = """
SELECT run_id FROM lg_runs
WHERE work IS NOT NULL AND owner IS NULL AND not_before <= ? AND (? = '' OR run_id = ?) LIMIT 1
"""
NEXT_RUN = """
SELECT run_id FROM lg_runs
WHERE work IS NOT NULL AND owner IS NULL AND not_before <= ? AND (? = '' OR run_id = ?)
AND root_id NOT IN (SELECT root_id FROM lg_runs WHERE owner IS NOT NULL)
ORDER BY priority DESC, created, run_id LIMIT 1
"""
"""The run that a worker may begin next, or whether it may begin a certain one: one at a time for each repository."""


class RunTable:
    """The rows of one database. Every method is one transaction, safe between threads and processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, new: NewRun, *, max_queued: int) -> tuple[RunRow, bool]:
        """Add a run for a worker to drive; returns its row, and whether it is new.

        The same key with the same digest returns the run that it made. Raises `Conflict` for the same key with
        another digest, `LimitExceeded` when too many runs wait.
        """
        with self.database.transaction() as tx:
            now = tx.now()
            if new.key is not None:
                made = _made_before(tx, new, now)
                if made is not None:
                    return _one(tx, made), False
            add_run(tx, new, max_queued)
            return _one(tx, new.run_id), True

    def reachable(self) -> None:
        """Raise `StoreGone` unless the database answers."""
        with self.database.transaction() as tx:
            tx.execute("SELECT 1")

    def get(self, run_id: str) -> RunRow:
        """Return a run. Raises `NotFound`."""
        with self.database.transaction() as tx:
            return _one(tx, run_id)

    def page(self, chosen: Filter, limit: int) -> list[RunRow]:
        """Return the newest runs that fit, at most `limit`."""
        where, parameters = _conditions(chosen)
        order = " ORDER BY created DESC, run_id DESC LIMIT ?"
        with self.database.transaction() as tx:
            return [row_of(row) for row in tx.execute(f"{_SELECT}{where}{order}", [*parameters, limit])]

    def say(
        self, run_id: str, kind: str, body: Mapping[str, Any], by: str, *, expected: Sequence[RunPhase] = ()
    ) -> RunRow:
        """Keep what a human said, and have the run go on. Raises `Conflict` in any state but the expected ones.

        A run that is being driven is asked to stop between two calls, and goes on with what was said.
        """
        with self.database.transaction() as tx:
            row = self._held(tx, run_id)
            if expected and row.state not in expected:
                raise Conflict(
                    f"run {run_id} is {row.state}", hint=f"this can be done while it is {' or '.join(expected)}"
                )
            if row.work == "undo":
                raise Conflict(f"the changes of run {run_id} are being taken back", hint="wait until that is done")
            if kind == "say":
                # As the run is now: a question that nobody had asked yet is not denied.
                body = {**body, "denies": row.state == "waiting"}
            _keep_said(tx, run_id, kind, body, by)
            if kind == "resume" and body:
                options = json.dumps({**row.options, **body})
                tx.execute("UPDATE lg_runs SET options = ? WHERE run_id = ?", (options, run_id))
            if row.owner is not None:
                tx.execute("UPDATE lg_runs SET stop = 'soon' WHERE run_id = ? AND stop = ''", (run_id,))
            else:
                _queue(tx, run_id, "drive")
            return _one(tx, run_id)

    def undo(self, run_id: str, body: Mapping[str, Any], by: str) -> RunRow:
        """Have a worker take back what a run changed. Raises `Conflict` while a worker has the run."""
        with self.database.transaction() as tx:
            row = self._held(tx, run_id)
            if row.work is not None:
                raise Conflict(f"run {run_id} is {row.state}", hint="wait until it has ended, or cancel it first")
            wanted = json.dumps({"state": "queued", "by": by, **body})
            tx.execute("UPDATE lg_runs SET undo = ? WHERE run_id = ?", (wanted, run_id))
            _queue(tx, run_id, "undo")
            return _one(tx, run_id)

    def cancel(self, run_id: str) -> RunRow:
        """End a run: at once where no worker has it, else as soon as its worker hears of it. Raises `Conflict`."""
        with self.database.transaction() as tx:
            row = self._held(tx, run_id)
            if row.state in ENDED:
                raise Conflict(f"run {run_id} has ended: it is {row.state}")
            if row.work == "undo":
                raise Conflict(f"the changes of run {run_id} are being taken back", hint="wait until that is done")
            if row.owner is not None:
                tx.execute("UPDATE lg_runs SET stop = 'cancel' WHERE run_id = ?", (run_id,))
            else:
                tx.execute(
                    "UPDATE lg_runs SET state = 'cancelled', work = NULL, stop = '', updated = ? WHERE run_id = ?",
                    (tx.now(), run_id),
                )
            return _one(tx, run_id)

    def _held(self, tx: Transaction, run_id: str) -> RunRow:
        """Return a run, which nobody else changes before the transaction ends. Raises `NotFound`."""
        return _one(tx, run_id, for_update(self.database))

    def said(self, run_id: str) -> list[Said]:
        """Return what waits to be written into the run's journal, oldest first."""
        with self.database.transaction() as tx:
            rows = tx.execute(
                "SELECT id, run_id, kind, body, by_whom, time FROM lg_run_said WHERE run_id = ? ORDER BY time, id",
                (run_id,),
            )
        return [
            Said(id=row[0], run_id=row[1], kind=row[2], body=json.loads(row[3]), by=row[4], time=row[5]) for row in rows
        ]

    def heard(self, ids: Sequence[str]) -> None:
        """Forget what is in the journal now."""
        with self.database.transaction() as tx:
            for each in ids:
                tx.execute("DELETE FROM lg_run_said WHERE id = ?", (each,))


def add_run(tx: Transaction, new: NewRun, max_queued: int) -> None:
    """Add a run for a worker to drive. Raises `LimitExceeded` when too many runs wait."""
    waiting = int(tx.execute("SELECT count(*) FROM lg_runs WHERE work IS NOT NULL")[0][0])
    if waiting >= max_queued:
        raise LimitExceeded(
            f"{waiting} runs wait for a worker, and service.max_queued is {max_queued}",
            hint="try again later, or start more workers",
        )
    now = tx.now()
    values = {
        "run_id": new.run_id, "state": "queued", "request": new.request, "repository": new.repository,
        "root": new.root, "root_id": new.root_id, "options": json.dumps(dict(new.options)),
        "created_by": new.created_by, "created": now, "updated": now, "priority": new.priority,
        "work": "drive", "forked_from": new.forked_from,
    }  # fmt: skip
    marks, names = ", ".join("?" * len(values)), ", ".join(values)
    tx.execute(f"INSERT INTO lg_runs ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608  names of our own
    if new.guidance is not None:
        # In the same transaction: no worker begins the run without it.
        _keep_said(tx, new.run_id, "say", {"text": new.guidance, "denies": False}, new.created_by)


def _keep_said(tx: Transaction, run_id: str, kind: str, body: Mapping[str, Any], by: str) -> None:
    tx.execute(
        "INSERT INTO lg_run_said (id, run_id, kind, body, by_whom, time) VALUES (?, ?, ?, ?, ?, ?)",
        (secrets.token_hex(8), run_id, kind, json.dumps(dict(body)), by, tx.now()),
    )


def _made_before(tx: Transaction, new: NewRun, now: float) -> str | None:
    """The run that the caller's key made; otherwise the key is taken now. Raises `Conflict` for another body."""
    tx.execute(
        "INSERT INTO lg_run_keys (caller, key, digest, run_id, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (caller, key) DO NOTHING",
        (new.created_by, new.key, new.digest, new.run_id, now),
    )
    found = tx.execute(
        "SELECT digest, run_id FROM lg_run_keys WHERE caller = ? AND key = ?", (new.created_by, new.key)
    )[0]
    if found[0] != new.digest:
        raise Conflict(
            f"the idempotency key {new.key!r} was used for another request", hint="use a new key for a new run"
        )
    return None if found[1] == new.run_id else str(found[1])


def _queue(tx: Transaction, run_id: str, work: Work) -> None:
    tx.execute(
        "UPDATE lg_runs SET work = ?, not_before = 0, attempts = 0, updated = ?, "
        "state = CASE WHEN ? = 'drive' THEN 'queued' ELSE state END WHERE run_id = ?",
        (work, tx.now(), work, run_id),
    )


def _conditions(chosen: Filter) -> tuple[str, list[Any]]:
    parts: list[str] = []
    parameters: list[Any] = []
    if chosen.state is not None:
        parts.append("state = ?")
        parameters.append(chosen.state)
    if chosen.repository is not None:
        parts.append("(repository = ? OR root = ?)")
        parameters += [chosen.repository, chosen.repository]
    if chosen.text:
        pattern = "%" + chosen.text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        parts.append("(lower(request) LIKE ? ESCAPE '!' OR run_id LIKE ? ESCAPE '!')")
        parameters += [pattern, pattern]
    if chosen.before is not None:
        parts.append("(created < ? OR (created = ? AND run_id < ?))")
        parameters += [chosen.before[0], chosen.before[0], chosen.before[1]]
    return (" WHERE " + " AND ".join(parts) if parts else ""), parameters


def _one(tx: Transaction, run_id: str, locking: str = "") -> RunRow:
    rows = tx.execute(f"{_SELECT} WHERE run_id = ?{locking}", (run_id,))
    if not rows:
        raise NotFound(f"there is no run {run_id!r}", hint="GET /v1/runs lists the runs")
    return row_of(rows[0])


def row_of(row: Row) -> RunRow:
    """Return a run from its columns, in the order of `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name]) if values[name] is not None else None
    return RunRow(**values)
