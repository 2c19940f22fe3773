"""Events and files of runs in PostgreSQL, written by one worker at a time.

Each write is checked in its own transaction: one of a worker whose run another one has taken over is refused, also when
it was paused just before it wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lg_orch.contracts.errors import RunLost
from lg_orch.contracts.events import Event
from lg_orch.recording.journal import Journal
from lg_orch.service.records.lease_table import require

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lg_orch.runs.run_directory import RunDir
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.postgres import PostgresDatabase
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.records.run_events import Follower

PAGE = 500
"""Events that a follower reads at once."""
_HELD = "SELECT 1 FROM lg_runs WHERE run_id = %s AND owner = %s AND epoch = %s FOR SHARE"
_APPEND = """
INSERT INTO lg_run_events (run_id, seq, epoch, line)
SELECT run_id, ?, epoch, ? FROM (
    SELECT run_id, epoch FROM lg_runs WHERE run_id = ? AND owner = ? AND epoch = ? FOR SHARE
) AS held
RETURNING seq
"""


class StoredEvents:
    """The events and files of all runs of one database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def all(self, row: RunRow) -> list[Event]:
        """Return a run's events so far."""
        return self.of(row.run_id)

    def of(self, run_id: str) -> list[Event]:
        """Return the events of a run."""
        return _events(self._database.once("SELECT line FROM lg_run_events WHERE run_id = ? ORDER BY seq", (run_id,)))

    def last(self, row: RunRow) -> int:
        """Return the number of the newest event."""
        found = self._database.once("SELECT max(seq) FROM lg_run_events WHERE run_id = ?", (row.run_id,))
        return int(found[0][0] or 0)

    def follow(self, row: RunRow, after: int) -> Follower:
        """Return a reader of the events after the one with that number."""
        return _RowFollower(self._database, row.run_id, after)

    def file_or_none(self, row: RunRow, name: str) -> bytes | None:
        """Return a file of the run, if there is one."""
        rows = self._database.once("SELECT data FROM lg_run_files WHERE run_id = ? AND name = ?", (row.run_id, name))
        return bytes(rows[0][0]) if rows else None

    def files(self, run_id: str) -> list[tuple[str, bytes]]:
        """Return all files of a run."""
        rows = self._database.once("SELECT name, data FROM lg_run_files WHERE run_id = ?", (run_id,))
        return [(str(name), bytes(data)) for name, data in rows]

    def copy_results(self, source: str, target: str) -> None:
        """Give a fork the results that its state names."""
        self._database.once(
            "INSERT INTO lg_run_files (run_id, name, data) SELECT ?, name, data FROM lg_run_files "
            "WHERE run_id = ? AND name LIKE ? ON CONFLICT DO NOTHING",
            (target, source, "results/%"),
        )


class _RowFollower:
    def __init__(self, database: PostgresDatabase, run_id: str, after: int) -> None:
        self._database = database
        self._run_id = run_id
        self._after = after

    def read(self) -> list[Event]:
        found = _events(
            self._database.once(
                "SELECT line FROM lg_run_events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?",
                (self._run_id, self._after, PAGE),
            )
        )
        self._after = found[-1].seq if found else self._after
        return found


class LeasedRun:
    """What one worker writes for one run: events, files, and the check of its checkpoints."""

    def __init__(self, database: PostgresDatabase, lease: Lease, run: RunDir) -> None:
        self._database = database
        self._lease = lease
        self._copy = Journal(run.journal)

    def append(self, event: Event) -> None:
        """Keep one event, in the database first. Raises `RunLost`, `StoreGone`."""
        lease = self._lease
        line = event.model_dump_json()
        if "\\u0000" in line:  # PostgreSQL's text has no such character, even within JSON it is of no use
            line = line.replace("\\u0000", "\\ufffd")
        kept = self._database.once(_APPEND, (event.seq, line, lease.run_id, lease.owner, lease.epoch))
        if not kept:
            raise RunLost(f"run {lease.run_id} was taken over by another worker")
        self._copy.append(event)

    def keep(self, digest: str, data: bytes) -> None:
        """Keep a result. Raises `RunLost`, `StoreGone`."""
        self.put(f"results/{digest}.json", data)

    def put(self, name: str, data: bytes | None) -> None:
        """Keep a file, or remove it. Raises `RunLost`, `StoreGone`."""
        with self._database.transaction() as tx:
            require(tx, self._lease, locking=self._database.locking)
            if data is None:
                tx.execute("DELETE FROM lg_run_files WHERE run_id = ? AND name = ?", (self._lease.run_id, name))
                return
            tx.execute(
                "INSERT INTO lg_run_files (run_id, name, data) VALUES (?, ?, ?) "
                "ON CONFLICT (run_id, name) DO UPDATE SET data = excluded.data",
                (self._lease.run_id, name, data),
            )

    async def check(self, connection: Any) -> None:
        """Raise `RunLost`, or hold the run until the transaction of `connection` ends."""
        lease = self._lease
        cursor = await connection.execute(_HELD, (lease.run_id, lease.owner, lease.epoch))
        if await cursor.fetchone() is None:
            raise RunLost(f"run {lease.run_id} was taken over by another worker")

    def close(self) -> None:
        """Close the copy of the journal."""
        self._copy.close()


def _events(rows: Iterable[tuple[Any, ...]]) -> list[Event]:
    found = []
    for row in rows:
        try:
            found.append(Event.model_validate_json(row[0]))
        except ValidationError:
            break
    return found
