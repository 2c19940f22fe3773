"""Finds the repository that a run works on, from the run's own record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.errors import ConfigError
from lg_policy.state import root_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.runs.run_directory import RunDir

RECORD_BYTES = 1_000_000
"""Of a journal's first line, which holds the record."""


@dataclass(frozen=True, kw_only=True)
class RunRoot:
    """The repository of a run. `path` is `None` where an earlier version wrote no path and no index knows the id."""

    id: str
    path: Path | None

    def label(self) -> str:
        """Return what a person is told."""
        return str(self.path) if self.path is not None else f"the repository with id {self.id}"


def run_root(run: RunDir, known: Mapping[str, str]) -> RunRoot | None:
    """Return the repository that a run was started in; `None` when it was killed before it wrote its record.

    `known` maps ids to paths, for runs whose record holds an id alone.
    """
    try:
        with run.journal.open("rb") as journal:
            event = json.loads(journal.readline(RECORD_BYTES))
        root = event["data"]["root"]
        found = str(root["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    path = root.get("path") or known.get(found)
    return RunRoot(id=found, path=Path(str(path)) if path else None)


def require_root(run_id: str, record: RunRoot | None, here: Path) -> None:
    """Raise `ConfigError`, naming both, when a run was started in another repository than `here`."""
    if record is not None and record.id != root_id(here):
        raise ConfigError(
            f"run {run_id} works on {record.label()}, not on {here}; nothing was done",
            hint="leave out --root and LG_REPO_ROOT to continue in the repository where the run started",
        )
