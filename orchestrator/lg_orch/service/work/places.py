"""Where a worker keeps what it writes for a run: its directory, journal and lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lg_orch.recording.journal import Journal
from lg_orch.runs.run_directory import RunDir, RunLock
from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lg_orch.recording.event_bus import EventLog
    from lg_orch.runs.checkpoint import SaverFence
    from lg_orch.service.records.lease_table import Lease


class Place(Protocol):
    """What a worker holds of a run while it has it."""

    run: RunDir
    journal: EventLog
    fence: SaverFence | None
    keep: Callable[[str, bytes], None] | None

    def put(self, name: str, data: bytes | None) -> None:
        """Keep a file beside the journal, or remove it. Raises `RunLost`, `StoreGone`."""
        ...

    def settle(self) -> None:
        """Have everything that another worker needs where it finds it. Raises `RunLost`, `StoreGone`."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class Places(Protocol):
    """Opens the places of runs."""

    def open(self, lease: Lease, state: Path, store_url: str) -> Place:
        """Open one. `state` is the state directory of its repository. Raises `RunBusy`, `RunLost`."""
        ...

    def source(self, run_id: str, state: Path, fork: str) -> RunDir:
        """Return the directory of a run, from which that fork of it is made."""
        ...


class LocalPlaces:
    """Runs in the state directory of their repository, as `lg-orch run` keeps them."""

    def open(self, lease: Lease, state: Path, store_url: str) -> Place:
        """Open one. Raises `RunBusy`."""
        run = RunDir(path=state / "runs" / lease.run_id, run_id=lease.run_id)
        make_private(run.path)
        return _LocalPlace(run, store_url)

    def source(self, run_id: str, state: Path, _fork: str) -> RunDir:
        """Return the directory of a run."""
        return RunDir(path=state / "runs" / run_id, run_id=run_id)


class _LocalPlace:
    fence: SaverFence | None = None
    keep: Callable[[str, bytes], None] | None = None

    def __init__(self, run: RunDir, store_url: str) -> None:
        self.run = run
        self._lock = RunLock(run, store_url)
        self._journal = Journal(run.journal)
        self.journal: EventLog = self._journal

    def put(self, name: str, data: bytes | None) -> None:
        """Keep a file in the run's directory, or remove it."""
        if data is None:
            (self.run.path / name).unlink(missing_ok=True)
        else:
            replace_file(self.run.path / name, data)

    def settle(self) -> None:
        """Do nothing: it is there already."""

    def close(self) -> None:
        """Close the journal and let another process have the run."""
        self._journal.close()
        self._lock.release()
