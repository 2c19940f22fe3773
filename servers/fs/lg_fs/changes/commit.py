"""Applies planned files to the tree: all of them or none, even after a crash.

Every new content is staged in its own directory under a name that only this change set has, then renamed into place.
The old contents are in the journal, so a failure and a crash are undone from the same record.

Not covered: another program may write to a file between the last check and the rename over it; that write is
lost. Programs that read several files may see some old and some new ones.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from lg_fs.changes.directories import blocked, staged_in
from lg_fs.changes.rename import rename_new
from lg_fs.changes.rollback import Undo
from lg_fs.changes.staging import Staging, temporary_name
from lg_fs.patch.plan import FileIdentity, PlannedFile
from lg_policy.changes.durable import sync_all
from lg_policy.changes.journal import Journal
from lg_policy.changes.records import ChangeRecord
from lg_policy.errors import Conflict, Internal, LgError, NotFound
from lg_policy.jobs import Job
from lg_policy.paths.root import Opened, as_error
from lg_policy.tree.workspace import ServedRoot

log = logging.getLogger(__name__)

Step = Callable[[str], None]


def _no_step(_name: str) -> None:
    """Do nothing. Tests end the process here."""


class Commit:
    """The part of a change set below one root, on its way into the tree, step by step.

    `on_step` is called before each irreversible step, with its name.
    """

    def __init__(
        self,
        place: ServedRoot,
        journal: Journal,
        planned: Sequence[PlannedFile],
        record: ChangeRecord,
        *,
        durable: bool,
        job: Job,
        on_step: Step = _no_step,
    ) -> None:
        self._place = place
        self._root = place.root
        self._journal = journal
        self._planned = planned
        self._record = record
        self._durable = durable
        self._job = job
        self._step = on_step
        self._touched: set[str] = set()
        self._done: set[int] = set()
        self._parents: dict[str, tuple[int, int]] = {}
        self._directory: Path | None = None

    def begin(self) -> None:
        """Record the changes in the journal, with what is needed to undo them."""
        self._step("begin")
        blobs = {
            n: file.before for n, file in enumerate(self._planned) if file.before is not None and _needs_blob(file)
        }
        self._directory = self._journal.begin(self._record, blobs)

    def stage(self) -> None:
        """Create missing directories, and write the new contents beside the files that they replace."""
        later = blocked(self._record)
        for name in self._record.made_dirs:
            self._job.check_time()
            if not any(name == file or name.startswith(f"{file}/") for file in later):
                self._step(f"make {name}")
                self._root.make_dirs(name, follow=False)
        with Staging(durable=self._durable) as staging:
            for number, file in enumerate(self._planned):
                self._job.check_time()
                if file.after is None or not _has_new_content(file):
                    continue
                with self._staged(file.to or file.path) as parent:
                    self._step(f"stage {number}")
                    self._job.done, self._job.message = self._job.done + 1, f"writing {file.to or file.path}"
                    try:
                        if file.link_after:
                            staging.link(parent, self._temporary(number), file.after)
                        else:
                            staging.write(parent, self._temporary(number), file.after, file.mode)
                    except OSError as error:  # its name would be the temporary one
                        raise as_error(error, file.to or file.path) from error
            staging.sync()
        self._recheck(self._planned)

    def change(self) -> None:
        """Rename everything into place."""
        for number, file in enumerate(self._planned):
            self._step(f"change {number}")
            try:
                self._change(number, file, self._temporary(number))
            except OSError as error:
                raise as_error(error, file.to or file.path) from error
        for name in self._record.made_dirs:
            self._root.make_dirs(name, follow=False)  # those that no file needs, where a file stood before
        for name in self._record.removed_dirs:
            self._touched.discard(name)
            self._remove_directory(name)
        self._sync()

    def finish(self) -> None:
        """Mark this part as done in the journal."""
        if self._directory is not None:
            self._journal.finish(self._directory)

    def roll_back(self) -> None:
        """Undo what was done. Raises `Internal` if the system prevents it; the next holder of the lock tries again."""
        if self._directory is not None:
            self._roll_back(self._record, self._directory)

    def check_root(self) -> None:
        """Raise `Conflict` if the root was removed or replaced: the change would be made where nobody looks."""
        self._place.check_identity()

    def _parent(self, path: str) -> tuple[Opened, str]:
        """Open the directory of a file. Raises `Conflict` if it is another one than in the step before."""
        parent, name = self._root.open_parent(path, follow=False)
        self._refuse_replaced(parent)
        return parent, name

    def _staged(self, path: str) -> Opened:
        """Open the directory in which the new content of a file waits. Raises as `_parent`."""
        directory = self._root.open_dir(staged_in(self._record, path), follow=False)
        self._refuse_replaced(directory)
        return directory

    def _refuse_replaced(self, directory: Opened) -> None:
        identity = directory.stat.st_dev, directory.stat.st_ino
        if self._parents.setdefault(directory.rel, identity) != identity:
            directory.close()
            raise Conflict(
                f"the directory {directory.rel!r} was replaced by another while the patch was applied",
                hint="look at it again and repeat",
            )

    def _temporary(self, number: int) -> str:
        return temporary_name(self._record.change_id, self._record.place_of(number))

    def _recheck(self, planned: Sequence[PlannedFile]) -> None:
        """Refuse if a file is no longer the one that was read."""
        for file in planned:
            if file.identity is None:
                continue
            parent, name = self._parent(file.path)
            with parent:
                try:
                    now = FileIdentity.of(os.stat(name, dir_fd=parent.fd, follow_symlinks=False))
                except FileNotFoundError:
                    now = None
            if now != file.identity:
                raise Conflict(
                    f"{file.path!r} was changed by someone else while the patch was prepared",
                    hint="read the file again and repeat",
                )

    def _change(self, number: int, file: PlannedFile, temporary: str) -> None:
        if file.op == "add":
            self._make_room(file.path)
        source, name = self._parent(file.path)
        with source:
            self._touched.add(source.rel)
            match file.op:
                case "update":
                    os.rename(temporary, name, src_dir_fd=source.fd, dst_dir_fd=source.fd)
                case "add":
                    with self._staged(file.path) as staged:
                        self._create(temporary, staged, name, source)
                case "delete":
                    os.unlink(name, dir_fd=source.fd)
                case _:
                    self._move(number, file, source, name, temporary)
        self._done.add(number)

    def _move(self, number: int, file: PlannedFile, source: Opened, name: str, temporary: str) -> None:
        target, new_name = self._parent(file.to or "")
        with target:
            self._touched.add(target.rel)
            if not _has_new_content(file):
                self._create(name, source, new_name, target)
                return
            self._create(temporary, target, new_name, target)
            self._done.add(number)
            self._step("between")
            os.unlink(name, dir_fd=source.fd)

    def _create(self, old: str, old_parent: Opened, new: str, new_parent: Opened) -> None:
        try:
            rename_new(old, old_parent.fd, new, new_parent.fd)
        except FileExistsError as error:
            shown = f"{new_parent.rel}/{new}".lstrip("/")
            raise Conflict(
                f"{shown!r} was created by someone else meanwhile", hint="read it, then make a new patch"
            ) from error

    def _make_room(self, rel: str) -> None:
        """Remove the directory that a file replaces, and make one that replaces a file."""
        for name in self._record.removed_dirs:
            if name == rel or name.startswith(f"{rel}/"):
                self._touched.discard(name)
                self._remove_directory(name)
        parent = rel.rpartition("/")[0]
        if parent in self._record.made_dirs:
            self._root.make_dirs(parent, follow=False)

    def _remove_directory(self, rel: str) -> None:
        """Remove a directory if it is empty. Others may have put something into it."""
        with suppress(LgError, OSError):
            parent, name = self._root.open_parent(rel, follow=False)
            with parent:
                os.rmdir(name, dir_fd=parent.fd)
                self._touched.add(parent.rel)

    def _sync(self) -> None:
        if not self._durable:
            return
        with ExitStack() as stack:
            opened = []
            for rel in self._touched:
                with suppress(NotFound):  # it was removed, with another of this change set in it
                    opened.append(stack.enter_context(self._root.open_dir(rel, follow=False)))
            sync_all([directory.fd for directory in opened])

    def _roll_back(self, record: ChangeRecord, directory: Path) -> None:
        undo = Undo(self._root, self._journal, durable=self._durable)
        try:
            left = undo.run(record, directory, only=self._done)
        except (LgError, OSError) as error:
            # The journal entry stays: the next holder of the lock tries again.
            log.exception("change %s could not be undone", record.change_id)
            raise Internal(
                f"the patch failed and could not be undone completely: {error}",
                hint="the server tries again before its next change and at its next start",
            ) from error
        if left:
            log.warning("change %s was undone except for files that others changed: %s", record.change_id, left)
        self._journal.drop(directory)


def commit_all(commits: Sequence[Commit], job: Job, on_step: Step = _no_step) -> None:
    """Apply all parts of a change set, or none.

    It is done once its first part is marked as done. The other journals name that part, and recovery looks there if it
    finds them unfinished. A failure undoes everything and raises the error, which names the file that failed.
    """
    try:
        for commit in commits:
            commit.begin()
        for commit in commits:
            commit.stage()
        job.check()
        for commit in commits:
            commit.check_root()
        for commit in commits:
            commit.change()
        on_step("finish")
        for commit in commits:
            commit.check_root()
        commits[0].finish()
    except BaseException as error:
        _roll_back_all(commits)
        if isinstance(error, OSError):
            raise as_error(error, str(error.filename or "")) from error
        raise
    for commit in commits[1:]:
        on_step("finish a further part")
        try:
            commit.finish()
        except OSError:
            log.exception("a part of a change set that is done could not be marked so; the next change does it")
    on_step("done")


def _roll_back_all(commits: Sequence[Commit]) -> None:
    failures: list[Internal] = []
    for commit in reversed(commits):
        try:
            commit.roll_back()
        except Internal as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


def _has_new_content(file: PlannedFile) -> bool:
    return file.op in ("add", "update") or (file.op == "move" and file.before != file.after)


def _needs_blob(file: PlannedFile) -> bool:
    return not (file.op == "move" and file.before == file.after)
