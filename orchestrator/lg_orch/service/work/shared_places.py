"""Places of runs whose events, files and checkpoints are in PostgreSQL: a directory of the worker's own is the copy.

Whoever claims a run next, on whatever machine, makes its own copy; what an earlier worker leaves in its directory is
read by nobody.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lg_orch.runs.run_directory import RunDir
from lg_orch.service.records.stored_events import LeasedRun, StoredEvents
from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lg_orch.recording.event_bus import EventLog
    from lg_orch.runs.checkpoint import SaverFence
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.postgres import PostgresDatabase
    from lg_orch.service.work.places import Place


class SharedPlaces:
    """Copies below a directory that only this process uses."""

    def __init__(self, database: PostgresDatabase, scratch: Path) -> None:
        self._database = database
        self._scratch = scratch / f"worker-{os.getpid()}"

    def open(self, lease: Lease, _state: Path, _store_url: str) -> Place:
        """Copy what there is of the run. Raises `StoreGone`."""
        # A worker that lost a run may claim it again before it has dropped the first copy.
        run = self._copied(lease.run_id, self._scratch / "runs" / f"{lease.run_id}-{lease.epoch}")
        return _SharedPlace(self._database, lease, run)

    def source(self, run_id: str, _state: Path, fork: str) -> RunDir:
        """Copy a run, to be read alone by its fork."""
        StoredEvents(self._database).copy_results(run_id, fork)
        return self._copied(run_id, self._scratch / "sources" / f"{run_id}-{fork}")

    def _copied(self, run_id: str, path: Path) -> RunDir:
        run = RunDir(path=path, run_id=run_id)
        if run.path.exists():
            run.remove()
        for path in (run.path, run.results, run.questions):
            make_private(path)
        stored = StoredEvents(self._database)
        for name, data in stored.files(run_id):
            replace_file(run.path / name, data)
        lines = b"".join(event.model_dump_json().encode() + b"\n" for event in stored.of(run_id))
        if lines:
            replace_file(run.journal, lines)
        return run


class _SharedPlace:
    def __init__(self, database: PostgresDatabase, lease: Lease, run: RunDir) -> None:
        self.run = run
        self._leased = LeasedRun(database, lease, run)
        self.journal: EventLog = self._leased
        self.fence: SaverFence | None = self._leased
        self.keep: Callable[[str, bytes], None] | None = self._leased.keep

    def put(self, name: str, data: bytes | None) -> None:
        """Keep a file beside the events, or remove it. Raises `RunLost`, `StoreGone`."""
        self._leased.put(name, data)

    def settle(self) -> None:
        """Keep what was written beside the journal. Raises `RunLost`, `StoreGone`."""
        for path in sorted(self.run.questions.glob("*.json")):
            self._leased.put(f"questions/{path.name}", path.read_bytes())

    def close(self) -> None:
        """Remove the copy."""
        self._leased.close()
        self.run.remove()
