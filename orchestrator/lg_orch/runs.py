"""Run directories in the state directory: one per run, locked by the process that drives it.

`runs/<run_id>/` holds `journal.jsonl`, `checkpoints.sqlite`, `results/`, `gateway.log` and `lock`; the lock ends with
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

from lg_orch.errors import RunBusy
from lg_policy.errors import NotFound
from lg_policy.state import find_states, make_private, state_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PENDING = "pending-traces"
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
        """The graph's checkpoints."""
        return self.path / "checkpoints.sqlite"

    @property
    def gateway_log(self) -> Path:
        """What our own gateway wrote to stderr."""
        return self.path / "gateway.log"

    @property
    def pending_trace(self) -> Path:
        """Exists while a trace is owed: where to write it, as JSON. Apart from the runs, so that looking is cheap."""
        return self.path.parent.parent / PENDING / f"{self.run_id}.json"


class RunLock:
    """Held by the process that drives a run."""

    def __init__(self, run: RunDir) -> None:
        self._fd = os.open(run.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise RunBusy(f"run {run.run_id} is being driven by another process") from error

    def release(self) -> None:
        """Let another process drive the run."""
        os.close(self._fd)


def new_run(state: Path) -> RunDir:
    """Make the directory of a new run; ids sort by time."""
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    path = state / "runs" / run_id
    make_private(path.parent)
    make_private(path)
    return RunDir(path=path, run_id=run_id)


def find_run(state: Path, run_id: str) -> RunDir:
    """Return an existing run. Raises `NotFound`; never looks outside of `runs/`."""
    path = state / "runs" / run_id
    if not RUN_ID.fullmatch(run_id) or not path.is_dir():
        raise NotFound(f"there is no run {run_id!r}", hint="`lg-orch runs list` shows the runs of this repository")
    return RunDir(path=path, run_id=run_id)


def find_anywhere(run_id: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the root of the repository that a run worked on, from any directory; `None` when no index knows it."""
    for state_id, path in find_states(environ).items():
        if RUN_ID.fullmatch(run_id) and (state_home(environ) / state_id / "runs" / run_id).is_dir():
            return Path(path)
    return None


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
    """Whether a living process holds the run's lock."""
    try:
        lock = RunLock(run)
    except RunBusy:
        return True
    lock.release()
    return False
