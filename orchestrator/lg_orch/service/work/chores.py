"""What workers do beside runs: begin what is scheduled, and remove what ended long ago."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import StoreGone
from lg_orch.runs.checkpoint import forget, is_postgres
from lg_orch.runs.retention import remove as remove_directory
from lg_orch.runs.run_directory import RunDir
from lg_policy.clones.workspaces import remove
from lg_policy.errors import LgError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.service.records.retention import Retention
    from lg_orch.service.records.rows import NewRun, RunRow
    from lg_orch.service.records.run_table import RunTable
    from lg_orch.service.records.schedule_table import Schedule, ScheduleTable
    from lg_orch.service.repositories import Repositories

log = logging.getLogger(__name__)
DAY_S = 86_400.0
LOOK_S = 3_600.0
"""Seconds between two looks for what ended long ago."""


@dataclass(kw_only=True)
class Chores:
    """All of it, for one worker. Used from one thread at a time."""

    schedules: ScheduleTable
    scheduled: Callable[[Schedule], NewRun]
    runs: RunTable
    retention: Retention
    repositories: Repositories
    store_url: str
    max_queued: int
    keep_days: float
    look_s: float = LOOK_S
    _looked: float = field(default=0.0, init=False)

    def do(self) -> None:
        """Do what is due. Raises `StoreGone`."""
        for run_id in self.schedules.begin_due(self.scheduled, max_queued=self.max_queued):
            log.info("run %s was begun by its schedule", run_id)
        if self.keep_days and (not self._looked or time.monotonic() - self._looked > self.look_s):
            self._looked = time.monotonic()
            self._remove_old()

    def _remove_old(self) -> None:
        for row in self.retention.take_old(self.keep_days * DAY_S):
            try:
                self._remove(row)
            except StoreGone:
                raise
            except (LgError, OSError) as error:
                log.warning("run %s: not everything of it could be removed: %s", row.run_id, error)
        try:
            self._remove_old_clones()
        except OSError as error:  # another worker removes them too
            log.warning("not every old clone could be removed: %s", error)

    def _remove_old_clones(self) -> None:
        for run_id, path in list(self.repositories.workspaces.old(self.keep_days * DAY_S)):
            # A fork works in the clone of the run that it came from, and may outlive it.
            used = any(self.retention.uses(str(root)) for root in path.iterdir()) if path.is_dir() else False
            if not used and not self._known(run_id):
                remove(path)

    def _remove(self, row: RunRow) -> None:
        if is_postgres(self.store_url):
            forget(self.store_url, [row.run_id])
        elif row.root:
            path = self.repositories.state(row.root) / "runs" / row.run_id
            if path.is_dir():
                remove_directory(RunDir(path=path, run_id=row.run_id))
        shared = self.retention.uses(row.root)
        if row.root and self.repositories.workspaces.is_clone(row.root) and not shared:
            remove(self.repositories.workspaces.run_of(row.root))
        log.info("run %s ended long ago and was removed", row.run_id)

    def _known(self, run_id: str) -> bool:
        try:
            self.runs.get(run_id)
        except NotFound:
            return False
        return True
