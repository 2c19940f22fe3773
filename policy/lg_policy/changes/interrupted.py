"""A command's changes that were begun below a root: taken back, or tidied up, after their writer died.

`lg-exec` puts what a command wrote in place by renames. Until all of that is done, new and old contents lie in a
directory of their own below the root, and a record outside the root says what was begun. Both servers look for the
record before they change something, and at their start. The changes are done once the journal has them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lg_policy.changes.durable import sync_directories
from lg_policy.changes.open_names import Place, place
from lg_policy.changes.removal import remove_tree
from lg_policy.errors import Conflict
from lg_policy.state import replace_file

if TYPE_CHECKING:
    from lg_policy.changes.journal import Journal

log = logging.getLogger(__name__)

STAGING = ".lg-exec-"
"""How the name of the directory begins in which changes wait until all of them can be put in place."""
NEW, OLD = "new-", "old-"
_RECORD = "begun.json"

Kind = Literal["unlink", "rmdir", "mkdir", "put", "chmod", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One change. `rel` is the name below the root, `mode` that of what was written."""

    kind: Kind
    rel: str
    mode: int = 0


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What the record says: the directory below the root, the steps, and the change set in the journal, if any.

    `made` tells the new files apart, by the number of their step.
    """

    staging: str
    steps: Sequence[Step] = ()
    made: Mapping[int, str] = field(default_factory=dict)
    change_id: str | None = None

    def write(self, state: Path) -> None:
        """Write the record durably. Raises `OSError`."""
        steps = [[step.kind, step.rel, step.mode] for step in self.steps]
        made = {str(number): content for number, content in self.made.items()}
        data = {"staging": self.staging, "steps": steps, "made": made, "change_id": self.change_id}
        replace_file(state / _RECORD, json.dumps(data).encode("ascii"))
        sync_directories([state])

    @classmethod
    def read(cls, state: Path) -> Begun | None:
        """Read the record; `None` if nothing was begun. Raises `Conflict` if it cannot be read."""
        record = state / _RECORD
        try:
            data = json.loads(record.read_bytes())
            name, change_id = str(data["staging"]), data.get("change_id")
            if not name.startswith(STAGING) or "/" in name:
                raise ValueError(f"{name!r} is no directory of lg-exec")
            steps = [Step(kind=kind, rel=str(rel), mode=int(mode)) for kind, rel, mode in data["steps"]]
            if any(part in ("", ".", "..") for step in steps for part in step.rel.split("/")):
                raise ValueError("a name in it leads out of the root")
            made = {int(number): str(content) for number, content in data.get("made", {}).items()}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Conflict(
                f"changes of a command were interrupted, and {record} does not say which: {error}",
                hint=f"look for directories {STAGING}* below the root, which hold old contents, then remove that file",
            ) from error
        return cls(staging=name, steps=steps, made=made, change_id=change_id)


def forget(state: Path) -> None:
    """Remove the record."""
    (state / _RECORD).unlink(missing_ok=True)


def undo(root_fd: int, staging: int, steps: Sequence[Step], made: Mapping[int, str]) -> bool:
    """Take back what was done of the steps, and leave alone what was not, and what somebody has changed since.

    Returns whether all old contents are back.
    """
    for number, step in reversed(list(enumerate(steps))):
        with contextlib.suppress(OSError), place(root_fd, step.rel) as at:
            _take_back(number, step, at, staging, made.get(number))
    return not any(name.startswith(OLD) for name in os.listdir(staging))


def _take_back(number: int, step: Step, at: Place, staging: int, made: str | None) -> None:
    old, new = Place(staging, f"{OLD}{number}"), Place(staging, f"{NEW}{number}")
    if step.kind == "mkdir":
        os.rmdir(at.name, dir_fd=at.directory)  # only if it is empty
    elif old.stamp() is not None:
        if _same(old, at):  # linked, and not replaced yet
            os.unlink(old.name, dir_fd=staging)
        elif at.stamp() is None or (step.kind == "put" and made in (None, at.content())):
            os.rename(old.name, at.name, src_dir_fd=staging, dst_dir_fd=at.directory)
    elif step.kind == "put" and (new.stamp() is None or _same(new, at)) and made in (None, at.content()):
        os.unlink(at.name, dir_fd=at.directory)


def _same(first: Place, second: Place) -> bool:
    """Return whether both names lead to one file. A change of one of them changes the time of both."""
    return first.stamp() is not None and first.stamp() == second.stamp()


def recover(root_fd: int, root: str, state: Path, journal: Journal) -> bool:
    """Take back what a killed server has begun, unless the journal says that it was done.

    The root's locks must be held. Returns whether there was something. Raises `OSError`, and `Conflict` for a record
    that cannot be read.
    """
    begun = Begun.read(state)
    if begun is None:
        return False
    done = begun.change_id is not None and journal.find(begun.change_id) is not None
    with contextlib.suppress(FileNotFoundError):
        staging = os.open(begun.staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root_fd)
        try:
            complete = done or undo(root_fd, staging, begun.steps, begun.made)
        finally:
            os.close(staging)
        if complete:
            remove_tree(f"{root}/{begun.staging}")
        else:
            log.warning(
                "interrupted changes of a command were undone, except for files that somebody has changed since: "
                "the old contents are in %s/%s",
                root,
                begun.staging,
            )
    if begun.change_id is not None and not done:
        journal.drop_begun(begun.change_id)
    forget(state)
    return True
