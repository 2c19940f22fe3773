"""Undoes a change set that was begun: after a failure, or after its writer died.

Each file's state is read from its present content, so undoing can itself be interrupted and repeated. A file that is
neither in its old nor in its new state was changed by another program: it is left and reported.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from lg_fs.changes.directories import blocked, staged_in
from lg_fs.changes.links import link_at
from lg_fs.changes.rename import rename_new
from lg_fs.changes.staging import Staging, temporary_name
from lg_policy.changes.journal import Journal
from lg_policy.changes.records import ChangeRecord, FileRecord, state
from lg_policy.errors import LgError, NotFound
from lg_policy.paths.root import Root

_CHUNK = 1 << 20
DIRECTORY = "directory"


class Undo:
    """Undoes change sets of one root."""

    def __init__(self, root: Root, journal: Journal, *, durable: bool) -> None:
        self._root = root
        self._journal = journal
        self._durable = durable

    def run(self, record: ChangeRecord, directory: Path, *, only: set[int] | None = None) -> list[str]:
        """Restore everything and return the files that had to be left.

        `only`: the numbers of the files that were begun, if that is known. Raises `LgError` or `OSError` if the
        system prevents it.
        """
        left: list[str] = []
        for number, file in reversed(list(enumerate(record.files))):
            self._remove_temporaries(record, number, file)
            if (only is None or number in only) and not self._file(record, directory, number, file):
                left.append(file.path)
        for name in reversed(record.made_dirs):
            self._remove_directory(name)
        for name in reversed(record.removed_dirs):
            with suppress(LgError):  # somebody has put a file in its place
                self._root.make_dirs(name, follow=False)
        return left

    def _file(self, record: ChangeRecord, directory: Path, number: int, file: FileRecord) -> bool:
        """Undo one file; return whether it is in its old state now."""
        now = self._state(file.path)
        if file.op == "update":
            if now == file.state_after:
                self._restore(record, directory, number, file)
                return True
            return now == file.state_before
        if file.op == "add":
            if now == file.state_after:
                self._unlink(file.path)
            return now in (None, file.state_after) or _not_yet(record, file.path, now)
        if file.op == "delete":
            if now == DIRECTORY and file.path in record.made_dirs:
                self._make_room(record, file.path)
                now = self._state(file.path)
            if now is None:
                self._restore(record, directory, number, file)
            return now in (None, file.state_before)
        return self._unmove(record, directory, number, file, now)

    def _unmove(self, record: ChangeRecord, directory: Path, number: int, file: FileRecord, now: str | None) -> bool:
        there = self._state(file.target)
        if now is None and file.keeps_content:
            if there != file.after_sha256:
                return False
            self._rename(file.target, file.path)
            return True
        if now is None:
            self._restore(record, directory, number, file)
        elif now != file.before_sha256:
            return False
        if there == file.after_sha256:
            self._unlink(file.target)
        return there in (None, file.after_sha256)

    def _restore(self, record: ChangeRecord, directory: Path, number: int, file: FileRecord) -> None:
        """Write the old content back, over the new one or as a new file."""
        data = self._journal.blob(directory, number)
        parent_rel = file.path.rpartition("/")[0]
        if parent_rel:
            self._root.make_dirs(parent_rel, follow=False)
        parent, name = self._root.open_parent(file.path, follow=False)
        temporary = temporary_name(record.change_id, record.place_of(number))
        with parent:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=parent.fd)
            with Staging(durable=self._durable) as staging:
                if file.link_before:
                    staging.link(parent, temporary, data)
                else:
                    staging.write(parent, temporary, data, file.mode)
                staging.sync()
            os.rename(temporary, name, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
            if self._durable:
                os.fsync(parent.fd)

    def _rename(self, old: str, new: str) -> None:
        source, old_name = self._root.open_parent(old, follow=False)
        with source:
            target, new_name = self._root.open_parent(new, follow=False)
            with target:
                rename_new(old_name, source.fd, new_name, target.fd)

    def _unlink(self, rel: str) -> None:
        parent, name = self._root.open_parent(rel, follow=False)
        with parent:
            os.unlink(name, dir_fd=parent.fd)

    def _remove_temporaries(self, record: ChangeRecord, number: int, file: FileRecord) -> None:
        directories = {rel.rpartition("/")[0] for rel in (file.path, file.target)}
        for rel in {*directories, staged_in(record, file.target)}:
            try:
                parent = self._root.open_dir(rel, follow=False)
            except LgError:
                continue  # the directory was never made, or is gone: nothing was staged there
            name = temporary_name(record.change_id, record.place_of(number))
            with parent, suppress(FileNotFoundError):
                # A root that is read-only refuses to remove even what is not there.
                os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
                os.unlink(name, dir_fd=parent.fd)

    def _remove_directory(self, rel: str) -> None:
        try:
            parent, name = self._root.open_parent(rel, follow=False)
        except LgError:
            return
        with parent, suppress(OSError):  # somebody put something into it, or it was never made
            os.rmdir(name, dir_fd=parent.fd)

    def _make_room(self, record: ChangeRecord, rel: str) -> None:
        """Remove the directories that stand where a file stood before, if they are empty."""
        for name in reversed(record.made_dirs):
            if name == rel or name.startswith(f"{rel}/"):
                self._remove_directory(name)

    def _state(self, rel: str) -> str | None:
        """Return the state of what is there now, as a record names it; `None` if nothing is there.

        `DIRECTORY` for a directory, and "" for what is neither that nor a file nor a link.
        """
        try:
            with self._root.open_file(rel, follow=False) as file:
                digest = hashlib.sha256()
                while chunk := os.read(file.fd, _CHUNK):
                    digest.update(chunk)
                return digest.hexdigest()
        except NotFound:
            return None
        except LgError:
            found = link_at(self._root, rel)
            if found is not None:
                return state(hashlib.sha256(found.target).hexdigest(), link=True)
            return DIRECTORY if self._is_directory(rel) else ""

    def _is_directory(self, rel: str) -> bool:
        with suppress(LgError):
            self._root.open_dir(rel, follow=False).close()
            return True
        return False


def _not_yet(record: ChangeRecord, rel: str, now: str) -> bool:
    """Return whether something else is still in the way of a new file: what the change set was about to remove."""
    if now == DIRECTORY:
        return rel in record.removed_dirs
    return not now and any(rel.startswith(f"{name}/") for name in blocked(record))
