"""Writes what a command wrote into an overlay back to the real root: only what the write rules allow.

The command never writes to the root itself, so a protected name stays as it is, even if it was missing or a directory
above it was renamed, and a command that a limit ends changes nothing. Names that the rules protect are left out and
listed. Everything else is written, or nothing is: if another program changed one of the files meanwhile, if the disk is
full, or if the time is over.

Not covered: ownership (unless this server is root), extended attributes and hard links are lost; devices, FIFOs and
sockets are not written back.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lg_exec.process.container import ChangeSet
from lg_exec.process.root_identity import refuse_replaced
from lg_exec.process.worker_thread import StoppedError, Work
from lg_exec.write_back.locking import locked
from lg_exec.write_back.names import shown
from lg_exec.write_back.snapshot import Snapshot
from lg_exec.write_back.transaction import Ground, Transaction
from lg_exec.write_back.upper_layer import steps
from lg_policy.changes.interrupted import STAGING, Begun, Step, recover
from lg_policy.changes.journal import Journal
from lg_policy.changes.open_names import place
from lg_policy.errors import ConfigError, Conflict, LgError, SandboxUnavailable
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root

log = logging.getLogger(__name__)

MAX_LISTED = 2_000
"""Names that a result lists."""


@dataclass(frozen=True, kw_only=True)
class StateFiles:
    """Where a carrier keeps its record, what it locks, and the journal of `lg-fs`: all outside the root."""

    directory: Path
    locks: list[Path]
    journal: Journal


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What became of a command's changes. `names` that were not kept say so; `problem` is why nothing was kept."""

    names: tuple[str, ...]
    problem: LgError | None = None
    changes: ChangeSet | None = None
    """The change set in the journal; `None` if nothing was changed."""


class Carrier:
    """Applies the upper layer of an overlay to a root. `state` is asked when it is first needed."""

    def __init__(self, root: Root, rules: FileRules, state: Callable[[], StateFiles]) -> None:
        self._root = root
        self._rules = rules
        self._state = state

    def begin(self, skip: Collection[str], work: Work) -> Snapshot:
        """Remember what is below the root, before a command starts; names in `skip` cannot be changed by it.

        Raises `LimitExceeded` for a root that is too large, `SandboxUnavailable` if there is no place for the record.
        """
        try:
            state = self._state()
            state.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(state.locks, work):
                self._recover(state)
        except ConfigError as error:
            raise SandboxUnavailable(f'root = "rw" does not work here: {error.message}', hint=error.hint) from error
        except (OSError, ValueError) as error:
            raise SandboxUnavailable(f'root = "rw" does not work here: {error}', hint="pass --state-dir DIR") from error
        return Snapshot(self._root.fd, skip, work)

    def recover(self, directory: Path, work: Work) -> None:
        """Take back what a killed server has begun, if there is such a thing. `directory` is that of the record.

        What cannot be taken back now is taken back before the next change.
        """
        try:
            if Begun.read(directory) is not None:
                state = self._state()
                with locked(state.locks, work):
                    self._recover(state)
        except (LgError, OSError, StoppedError) as error:
            log.warning("interrupted changes of a command are not undone yet: %s", error)

    def _recover(self, state: StateFiles) -> None:
        state.journal.open()
        recover(self._root.fd, str(self._root.path), state.directory, state.journal)

    def apply(self, upper: str, before: Snapshot, work: Work) -> Kept:
        """Write back every allowed change, or none. Raises only `StoppedError`."""
        names: list[str] = []
        refused: list[str] = []
        changes = None
        try:
            wanted, refused = self._judge([step for step in steps(upper, before, work) if self._is_change(step)])
            names = _listed(wanted)
            if wanted:
                changes = self._put(wanted, upper, before, work)
        except LgError as error:
            return _nothing(error, names, refused)
        except OSError as error:
            return _nothing(Conflict(f"{error.strerror or error}"), names, refused)
        return Kept(names=_cut(sorted([*names, *refused])), changes=changes)

    def _put(self, wanted: Sequence[Step], upper: str, before: Snapshot, work: Work) -> ChangeSet:
        state = self._state()
        with locked(state.locks, work):
            refuse_replaced(str(self._root.path), self._root.fd)
            self._recover(state)
            ground = Ground(
                root_fd=self._root.fd, root=str(self._root.path), state=state.directory, journal=state.journal
            )
            transaction = Transaction(ground)
            try:
                transaction.stage(wanted, upper, work)
                changes = transaction.commit(wanted, before, work)
            finally:
                transaction.close()
            try:
                state.journal.prune()
            except OSError:
                log.exception("old change sets could not be removed; the next change tries again")
        return changes

    def _judge(self, found: Sequence[Step]) -> tuple[list[Step], list[str]]:
        """Divide the steps into those that may be done, and the names of the others with the reason."""
        refused = {step: why for step in found if (why := self._why_not(step)) is not None}
        stays = _above(step.rel for step in refused if step.kind in ("unlink", "rmdir"))
        needed = _above(step.rel for step in found if step.kind == "put" and step not in refused)
        wanted = []
        for step in found:
            if step.kind == "mkdir" and step.rel in needed:
                refused.pop(step, None)
            if step.rel in stays and step.kind != "mkdir" and step not in refused:
                refused[step] = "something protected is in it"
            if step not in refused and not (step.kind == "mkdir" and step.rel in stays):
                wanted.append(step)
        return wanted, sorted({f"{shown(step.rel)} (not kept: {why})" for step, why in refused.items()})

    def _is_change(self, step: Step) -> bool:
        """Return whether a directory that was there before has another mode now; whatever else is a change anyway."""
        if step.kind != "chmod":
            return True
        try:
            with place(self._root.fd, step.rel) as at:
                now = os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)
        except OSError:
            return False  # gone meanwhile, or closed to this user
        return stat.S_IMODE(now.st_mode) != stat.S_IMODE(step.mode)

    def _why_not(self, step: Step) -> str | None:
        if step.kind == "chmod":
            return "the mode of a directory that was there before"
        if step.kind == "unknown":
            return "neither file, directory nor link"
        if step.rel.startswith(STAGING):
            return "lg-exec uses names that begin like this itself"
        return self._rules.why_not_write(f"{step.rel}/" if step.kind in ("mkdir", "rmdir") else step.rel)


def _above(names: Iterable[str]) -> set[str]:
    """Return every directory above one of the names."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def _listed(wanted: Sequence[Step]) -> list[str]:
    """Return what a result lists: written files, new directories that stay empty, the topmost names of what is gone."""
    gone = {step.rel for step in wanted if step.kind == "rmdir"}
    names = {step.rel for step in wanted if step.kind == "put"}
    names |= {
        step.rel for step in wanted if step.kind in ("unlink", "rmdir") and step.rel.rpartition("/")[0] not in gone
    }
    made = {step.rel for step in wanted if step.kind == "mkdir"}
    names |= {f"{rel}/" for rel in made - _above(step.rel for step in wanted if step.kind in ("put", "mkdir"))}
    return sorted(map(shown, names))


def _nothing(problem: LgError, names: Sequence[str], refused: Sequence[str]) -> Kept:
    log.warning("nothing that the command wrote was kept: %s", problem.message)
    return Kept(
        names=_cut(sorted([*(f"{name} (not kept: all or nothing)" for name in names), *refused])), problem=problem
    )


def _cut(names: Sequence[str]) -> tuple[str, ...]:
    more = len(names) - MAX_LISTED
    return tuple(names) if more <= 0 else (*names[:MAX_LISTED], f"… and {more} more")
