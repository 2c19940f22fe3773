"""Removes the rows of runs that ended long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.service.records.rows import ENDED
from lg_orch.service.records.run_table import RETURNED, row_of

if TYPE_CHECKING:
    from lg_orch.service.records.interface import Database
    from lg_orch.service.records.rows import RunRow

AT_ONCE = 100
_TABLES = ("lg_run_keys", "lg_run_said", "lg_thread_runs")
_SHARED_TABLES = ("lg_run_events", "lg_run_files")


class Retention:
    """The old rows of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_old(self, older_than_s: float) -> list[RunRow]:
        """Remove the rows of runs that ended that long ago, and return them: their files are the caller's to remove.

        A run that waits for a human has not ended.
        """
        states = ", ".join(f"'{state}'" for state in sorted(ENDED))
        with self._database.transaction() as tx:
            rows = tx.execute(
                f"DELETE FROM lg_runs WHERE run_id IN (SELECT run_id FROM lg_runs WHERE state IN ({states}) "  # noqa: S608  words of our own
                "AND work IS NULL AND owner IS NULL AND updated < ? ORDER BY updated LIMIT ?) "
                f"AND work IS NULL AND owner IS NULL RETURNING {RETURNED}",
                (tx.now() - older_than_s, AT_ONCE),
            )
            gone = [row_of(row) for row in rows]
            for run in gone:
                for table in (*_TABLES, *(_SHARED_TABLES if self._database.shared else ())):
                    tx.execute(f"DELETE FROM {table} WHERE run_id = ?", (run.run_id,))  # noqa: S608  names of our own
        return gone

    def uses(self, root: str) -> bool:
        """Tell whether a run that is kept works on a directory."""
        with self._database.transaction() as tx:
            return bool(tx.execute("SELECT 1 FROM lg_runs WHERE root = ? LIMIT 1", (root,)))
