"""Apply planned files to the tree: all of them or none, whatever happens in between.

Every new content is staged in its own directory under a name that only this change set has, then renamed into place.
What was there before is in the journal, so that both a failure now and a crash are undone from the same record.

Not covered: between the last look at a file and the rename over it, another program may write to it; that write is
lost. Programs that read several files may see some old and some new ones.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lg_fs.job import Job
from lg_fs.journal import Journal
from lg_fs.plan import Identity, PlannedFile
from lg_fs.records import ChangeRecord
from lg_fs.rename import rename_new
from lg_fs.staging import Staging, temporary_name
from lg_fs.undo import Undo
from lg_policy.errors import Conflict, Internal, LgError
from lg_policy.paths import Opened, Root, as_error

log = logging.getLogger(__name__)

Step = Callable[[str], None]


def _no_step(_name: str) -> None:
    """Nothing: tests end the process here."""


class Commit:
    """One change set on its way into the tree. `on_step` is called before each irreversible step, with its name."""

    def __init__(self, root: Root, journal: Journal, *, durable: bool, job: Job, on_step: Step = _no_step) -> None:
        self._root = root
        self._journal = journal
        self._durable = durable
        self._job = job
        self._step = on_step
        self._touched: set[str] = set()
        self._done: set[int] = set()

    def run(self, planned: Sequence[PlannedFile], record: ChangeRecord) -> None:
        """Apply everything. On failure everything is undone and the error raised, naming the file that failed."""
        blobs = {n: file.before for n, file in enumerate(planned) if file.before is not None and _needs_blob(file)}
        self._step("begin")
        directory = self._journal.begin(record, blobs)
        try:
            self._stage(planned, record)
            self._recheck(planned)
            self._job.check()
            for number, file in enumerate(planned):
                self._step(f"change {number}")
                self._change(number, file, temporary_name(record.change_id, number))
            self._sync()
            self._step("finish")
            self._journal.finish(directory)
        except BaseException as error:
            self._roll_back(record, directory)
            if isinstance(error, OSError):
                raise as_error(error, str(error.filename or "")) from error
            raise
        self._step("done")

    def _stage(self, planned: Sequence[PlannedFile], record: ChangeRecord) -> None:
        for name in record.made_dirs:
            self._step(f"make {name}")
            self._root.make_dirs(name, follow=False)
        with Staging(durable=self._durable) as staging:
            for number, file in enumerate(planned):
                self._job.check()
                if file.after is None or not _has_new_content(file):
                    continue
                parent, _ = self._root.open_parent(file.to or file.path, follow=False)
                with parent:
                    self._step(f"stage {number}")
                    self._job.done, self._job.message = self._job.done + 1, f"writing {file.to or file.path}"
                    staging.write(parent, temporary_name(record.change_id, number), file.after, file.mode)
            staging.sync()

    def _recheck(self, planned: Sequence[PlannedFile]) -> None:
        """Refuse if a file is no longer the one that was read."""
        for file in planned:
            if file.identity is None:
                continue
            parent, name = self._root.open_parent(file.path, follow=False)
            with parent:
                try:
                    now = Identity.of(os.stat(name, dir_fd=parent.fd, follow_symlinks=False))
                except FileNotFoundError:
                    now = None
            if now != file.identity:
                raise Conflict(
                    f"{file.path!r} was changed by someone else while the patch was prepared",
                    hint="read the file again and repeat",
                )

    def _change(self, number: int, file: PlannedFile, temporary: str) -> None:
        source, name = self._root.open_parent(file.path, follow=False)
        with source:
            self._touched.add(source.rel)
            match file.op:
                case "update":
                    os.rename(temporary, name, src_dir_fd=source.fd, dst_dir_fd=source.fd)
                case "add":
                    self._create(temporary, source, name, source)
                case "delete":
                    os.unlink(name, dir_fd=source.fd)
                case _:
                    self._move(number, file, source, name, temporary)
        self._done.add(number)

    def _move(self, number: int, file: PlannedFile, source: Opened, name: str, temporary: str) -> None:
        target, new_name = self._root.open_parent(file.to or "", follow=False)
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
            raise Conflict(f"{shown!r} was created by someone else meanwhile", hint="look again and repeat") from error

    def _sync(self) -> None:
        if not self._durable:
            return
        for rel in self._touched:
            with self._root.open_dir(rel, follow=False) as directory:
                os.fsync(directory.fd)

    def _roll_back(self, record: ChangeRecord, directory: Path) -> None:
        undo = Undo(self._root, self._journal, durable=self._durable)
        try:
            left = undo.run(record, directory, only=self._done)
        except (LgError, OSError) as error:
            # The journal entry stays: the next holder of the lock tries again.
            log.exception("change %s could not be undone", record.change_id)
            raise Internal(
                f"the patch failed and could not be undone completely: {error}",
                hint="the server tries again before its next change and when it starts",
            ) from error
        if left:
            log.warning("change %s was undone except for files that others changed: %s", record.change_id, left)
        self._journal.drop(directory)


def missing_directories(root: Root, planned: Sequence[PlannedFile]) -> tuple[str, ...]:
    """The directories that new files need and that do not exist, outermost first."""
    missing: dict[str, None] = {}
    for file in planned:
        if file.after is None or (file.op != "add" and file.to is None):
            continue
        parts = (file.to or file.path).split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name in missing:
                continue
            with suppress(LgError):
                root.open_dir(name, follow=False).close()
                continue
            missing[name] = None
    return tuple(missing)


def _has_new_content(file: PlannedFile) -> bool:
    return file.op in ("add", "update") or (file.op == "move" and file.before != file.after)


def _needs_blob(file: PlannedFile) -> bool:
    return not (file.op == "move" and file.before == file.after)
