"""Manages run directories in the state directory: one per run, locked by the process that drives it.

`runs/<run_id>/` holds `journal.jsonl`, `checkpoints.db`, `results/`, `gateway.log` and `lock`; the lock ends with
its process, so a run whose lock is free and whose journal has no end was killed.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import RunBusy
from lg_policy.errors import ConfigError, LgError
from lg_policy.state import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lg_orch.runs.postgres_lock import PostgresLock

PENDING = "pending-traces"
_FRACTIONS = 4096
"""Of a second: the first three digits after the dash; the last three are random."""
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}")


@dataclass(frozen=True, kw_only=True)
class RunDir:
    """One run's directory."""

    path: Path
    run_id: str

    @property
    def journal(self) -> Path:
        """The event journal."""
        return self.path / "journal.jsonl"

    @property
    def results(self) -> Path:
        """The result store."""
        return self.path / "results"

    @property
    def checkpoints(self) -> Path:
        """The graph's checkpoints, where they are SQLite."""
        return self.path / "checkpoints.db"

    @property
    def drafts(self) -> Path:
        """Where a call's arguments are laid out for a person to edit."""
        return self.path / "edit"

    @property
    def questions(self) -> Path:
        """Questions whole, where the journal hides something in them."""
        return self.path / "questions"

    @property
    def earlier(self) -> Path:
        """What the conversation said before this run."""
        return self.path / "earlier.json"

    @property
    def conversation(self) -> Path:
        """The conversation with this run, for one that follows."""
        return self.path / "conversation.json"

    @property
    def gateway_log(self) -> Path:
        """What our own gateway wrote to stderr."""
        return self.path / "gateway.log"

    @property
    def pending_trace(self) -> Path:
        """Exists while a trace is owed: where to write it, as JSON. Apart from the runs, so that looking is cheap."""
        return self.path.parent.parent / PENDING / f"{self.run_id}.json"

    def remove(self) -> None:
        """Remove the directory and what is owed for it; the caller holds the lock.

        The journal goes last: as long as it is there, a removal that was cut short is found and repeated.
        """
        self.pending_trace.unlink(missing_ok=True)
        for directory, folders, files in os.walk(self.path, topdown=False):
            for name in sorted(files, key=lambda name: name == self.journal.name):
                os.unlink(os.path.join(directory, name))
            for name in folders:
                os.rmdir(os.path.join(directory, name))
        os.rmdir(self.path)


class RunLock:
    """Held by the process that drives a run, and gone with it. Raises `RunBusy`.

    With `store_url` PostgreSQL it is held there as well, for state directories that machines share. Raises
    `ConfigError` when that server cannot be used.
    """

    def __init__(self, run: RunDir, store_url: str = "sqlite") -> None:
        self._fd = os.open(run.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise RunBusy(f"run {run.run_id} is being driven by another process") from error
        try:
            self._shared = _shared_lock(store_url, run.run_id)
        except LgError:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let another process drive the run."""
        if self._shared is not None:
            self._shared.release()
        os.close(self._fd)


def _shared_lock(store_url: str, run_id: str) -> PostgresLock | None:
    if store_url == "sqlite":
        return None
    from lg_orch.runs.checkpoint import is_postgres
    from lg_orch.runs.postgres_lock import PostgresLock

    return PostgresLock(store_url, run_id) if is_postgres(store_url) else None


def new_run(state: Path, now: datetime | None = None) -> RunDir:
    """Make the directory of a new run; ids sort by time, to a quarter of a millisecond. `now` is UTC."""
    make_private(state / "runs")
    while True:
        run_id = fresh_run_id(now)
        path = state / "runs" / run_id
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot create {path}: {error}") from error
        return RunDir(path=path, run_id=run_id)


def fresh_run_id(now: datetime | None = None) -> str:
    """Return an id for a new run. `now` is UTC."""
    moment = now or datetime.now(UTC)
    fraction = moment.microsecond * _FRACTIONS // 1_000_000
    return f"{moment:%Y%m%dT%H%M%S}-{fraction:03x}{secrets.randbelow(_FRACTIONS):03x}"


def all_runs(state: Path) -> Iterator[RunDir]:
    """Yield every run, the newest first."""
    try:
        names = os.listdir(state / "runs")
    except FileNotFoundError:
        return
    for name in sorted(names, reverse=True):
        if RUN_ID.fullmatch(name):
            yield RunDir(path=state / "runs" / name, run_id=name)


def owing_runs(state: Path) -> list[RunDir]:
    """Return the runs whose trace is still owed."""
    try:
        names = os.listdir(state / PENDING)
    except FileNotFoundError:
        return []
    ids = sorted(name.removesuffix(".json") for name in names)
    return [RunDir(path=state / "runs" / run_id, run_id=run_id) for run_id in ids if RUN_ID.fullmatch(run_id)]


def is_driven(run: RunDir) -> bool:
    """Tell whether a living process holds the run's lock."""
    try:
        lock = RunLock(run)
    except RunBusy:
        return True
    lock.release()
    return False
