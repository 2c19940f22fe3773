"""Removes runs that ended longer ago than `store.runs_ttl`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import RunBusy
from lg_orch.recording.journal import read_journal
from lg_orch.runs.run_directory import RunLock, all_runs
from lg_orch.runs.trace import ended
from lg_policy.config.durations import seconds
from lg_policy.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lg_orch.runs.run_directory import RunDir


def expired(state: Path, older_than_s: float, *, unfinished: bool = False) -> Iterator[RunDir]:
    """Yield the runs whose journal was last written that long ago; `unfinished` ones only if asked for."""
    edge = time.time() - older_than_s
    for run in all_runs(state):
        try:
            written = run.journal.stat().st_mtime
        except FileNotFoundError:
            written = run.path.stat().st_mtime
        if written < edge and (unfinished or _is_finished(run)):
            yield run


def drop_expired(state: Path, runs_ttl: str, store_url: str) -> list[RunDir]:
    """Remove what is older than `store.runs_ttl`. Raises `ConfigError` for a wrong duration or an unusable store."""
    return drop(list(expired(state, seconds(runs_ttl, "store.runs_ttl"))), store_url)


def drop(runs: list[RunDir], store_url: str) -> list[RunDir]:
    """Remove runs with their checkpoints; returns those that are gone."""
    if runs:
        from lg_orch.runs.checkpoint import forget

        # A run's directory goes last: as long as it is there, what was cut short can be repeated.
        forget(store_url, [run.run_id for run in runs])
    return [run for run in runs if remove(run)]


def remove(run: RunDir) -> bool:
    """Remove a run's directory, its lock held; whether it is gone. One that is driven just now stays."""
    try:
        lock = RunLock(run)
    except RunBusy:
        return False
    try:
        run.remove()
    finally:
        lock.release()
    return True


def _is_finished(run: RunDir) -> bool:
    """Whether the run ended by itself. A run that broke off could be resumed, but was not for so long."""
    try:
        return ended(read_journal(run.journal)) in ("done", "unchecked", "failed", "refused")
    except NotFound:
        return True  # killed before it wrote anything: nothing can go on from there
