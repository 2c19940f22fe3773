"""Finds the repository that a run works on, from the run's own record."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from lg_policy.errors import ConfigError
from lg_policy.state import root_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.runs.run_directory import RunDir

RECORD_BYTES = 1_000_000
"""Of a journal's first line, which holds the record."""
_URI = "file:///"


@dataclass(frozen=True, kw_only=True)
class RunRoot:
    """The repository of a run. `path` is `None` where an earlier version wrote no path and no index knows the id."""

    id: str
    path: Path | None
    directory: str = ""
    """Device and number of the directory itself; empty in the record of an earlier version."""

    def label(self) -> str:
        """Return what a person is told."""
        return str(self.path) if self.path is not None else f"the repository with id {self.id}"


def root_record(root: Path, root_id: str) -> dict[str, Any]:
    """Return what a run's record keeps of its repository."""
    status = root.stat()
    directory = f"{status.st_dev}:{status.st_ino}"
    return {"id": root_id, "name": root_name(root), "path": path_text(root), "directory": directory}


def root_name(root: Path) -> str:
    """Return the name of a repository's directory. Bytes that are not UTF-8 are replaced: models and JSON take none."""
    return os.fsencode(root.name).decode("utf-8", "replace")


def path_text(path: Path) -> str:
    """Return a path as a record keeps it: one that is not UTF-8 as a `file:` address, since JSON cannot hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return str(path)


def path_of(text: str) -> Path:
    """Return the path that `path_text` wrote."""
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file://")))) if text.startswith(_URI) else Path(text)


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
    return RunRoot(id=found, path=path_of(str(path)) if path else None, directory=str(root.get("directory") or ""))


def require_root(run_id: str, record: RunRoot | None, here: Path) -> None:
    """Raise `ConfigError`, naming both, when a run was started in another repository than `here`."""
    if record is not None and record.id != root_id(here):
        raise ConfigError(
            f"run {run_id} works on {record.label()}, not on {here}; nothing was done",
            hint="leave out --root and LG_REPO_ROOT to continue in the repository where the run started",
        )


def replaced_text(record: RunRoot | None, here: Path) -> str | None:
    """Say that another directory stands where the run's was, moved there or cloned anew; `None` where it is the same.

    A yes of before does not count there: the gateway asks again.
    """
    if record is None or not record.directory:
        return None
    status = here.stat()
    if record.directory == f"{status.st_dev}:{status.st_ino}":
        return None
    return f"{here} is not the directory that the run worked on; another one was put in its place since"
