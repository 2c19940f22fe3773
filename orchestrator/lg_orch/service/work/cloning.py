"""Gives a run a clone to work on where its repository is an address, and makes a branch of what it changed there."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.service.records.run_events import BRANCH_BUNDLE, BRANCH_PATCH
from lg_policy.clones.git_program import Git, never
from lg_policy.errors import LgError
from lg_policy.state import root_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.engine.signals import StopRequests
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.work.places import Place
    from lg_orch.service.work.tools import WorkerTools

log = logging.getLogger(__name__)


def placed(tools: WorkerTools, lease: Lease, row: RunRow, stop: StopRequests) -> RunRow:
    """Return the run with the directory that it works on, which is cloned where it is not there yet.

    Raises `RunLost`, `GitEnded` for a run that was asked to stop, and `LgError` where nothing can be cloned.
    """
    workspaces = tools.repositories.workspaces
    if row.root or row.repository.startswith("/"):
        workspaces.require(row.root)
        return row
    # The settings of this worker count: it may allow less than the API that took the request did.
    address = tools.repositories.address(row.repository)
    git = _git(tools, lambda: stop.asked)
    root = workspaces.clone(git, tools.service, address, row.run_id, lease.epoch, row.options.get("ref"))
    made = replace(row, root=str(root), root_id=root_id(root))
    tools.leases.place(lease, made.root, made.root_id)
    return made


def branched(tools: WorkerTools, lease: Lease, row: RunRow, place: Place) -> dict[str, Any]:
    """Make the run's branch anew, and keep it as files of the run; returns what the report says of it.

    A branch that cannot be made does not fail the run. Raises `RunLost`, `StoreGone`.
    """
    workspaces = tools.repositories.workspaces
    if not workspaces.is_clone(row.root):
        return {}
    try:
        made = workspaces.branch(_git(tools, never), tools.service, row.root, row.run_id, lease.epoch, row.request)
    except LgError as error:
        log.warning("run %s: no branch was made: %s", row.run_id, error.message)
        return {"branch": None, "branch_error": error.message}
    place.put(BRANCH_PATCH, made.patch if made is not None else None)
    place.put(BRANCH_BUNDLE, made.bundle if made is not None else None)
    return {"branch": made.as_json() if made is not None else None}


def _git(tools: WorkerTools, stopped: Callable[[], bool]) -> Git:
    config = tools.service.git_config
    return Git(environ=tools.repositories.environ, config=Path(config) if config is not None else None, stopped=stopped)
