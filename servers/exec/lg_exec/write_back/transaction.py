"""Several changes below a root, made as one: when one of them fails, those before it are undone.

New contents are written first, into a directory of their own below the root, and only then put in place by renames. Old
contents are kept beside them until all is done. A record outside the root says what was begun, so that a server that
was killed in between is undone by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from lg_exec.process.worker_thread import Work
from lg_exec.write_back.names import shown
from lg_exec.write_back.open_names import Place, place
from lg_exec.write_back.removal import remove_tree
from lg_exec.write_back.snapshot import DIRECTORY, STAGING, Snapshot
from lg_exec.write_back.upper_layer import Step
from lg_policy.errors import Conflict

_CHUNK = 1 << 20
_NEW, _OLD = "new-", "old-"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
RECORD = "begun.json"


class Transaction:
    """Puts steps into effect. `state` is a private directory outside the root; the root's lock must be held."""

    def __init__(self, root_fd: int, root: str, state: Path) -> None:
        self._root_fd = root_fd
        self._root = root
        self._record = state / RECORD
        self._name = STAGING + secrets.token_hex(8)
        self._staging = -1
        self._keep_old = False

    def stage(self, steps: Sequence[Step], upper: str, work: Work) -> None:
        """Write down every new content. Raises `OSError`; then nothing has changed."""
        self._write_record(())
        os.mkdir(self._name, 0o700, dir_fd=self._root_fd)
        self._staging = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._root_fd)
        source = os.open(upper, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number, step in enumerate(steps):
                work.check()
                if step.kind == "put":
                    with place(source, step.rel) as found:
                        self._copy(found, f"{_NEW}{number}", work)
        finally:
            os.close(source)

    def _copy(self, source: Place, name: str, work: Work) -> None:
        status = os.stat(source.name, dir_fd=source.directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source.name, dir_fd=source.directory), name, dir_fd=self._staging)
        else:
            mode = stat.S_IMODE(status.st_mode) & 0o777
            if not mode & 0o400:  # closed by the command to its own user
                os.chmod(source.name, 0o600, dir_fd=source.directory)
            reader = os.open(source.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source.directory)
            with open(reader, "rb", buffering=0) as content:
                writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._staging)
                with open(writer, "wb", buffering=0) as target:
                    _copy_data(content.fileno(), target.fileno(), status.st_size, work)
                    os.fchmod(target.fileno(), mode)
        if os.geteuid() == 0:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=self._staging, follow_symlinks=False)

    def commit(self, steps: Sequence[Step], before: Snapshot, work: Work) -> None:
        """Put everything in place. Raises `Conflict`, `CallTimeout` or `OSError`; then everything is as it was."""
        removed = {step.rel for step in steps if step.kind in ("unlink", "rmdir")}
        checked = [step.kind in ("unlink", "rmdir") or step.rel not in removed for step in steps]
        for step, check in zip(steps, checked, strict=True):
            work.check()
            if check:
                self._expect(step, before)
        self._write_record(steps)
        try:
            for number, step in enumerate(steps):
                work.check()
                there = checked[number] and before.get(step.rel) is not None
                if there and step.kind in ("unlink", "put"):
                    self._expect(step, before)
                with place(self._root_fd, step.rel) as at:
                    self._do(number, step, at, there)
        except BaseException as error:
            self._keep_old = not undo(self._root_fd, self._staging, steps)
            if self._keep_old:
                raise Conflict(
                    f"{error}; not everything could be undone, because another program is changing the same files: "
                    f"the old contents are in {self._root}/{self._name}"
                ) from error
            raise

    def close(self) -> None:
        """Forget the record, and remove the directory with new and old contents."""
        self._record.unlink(missing_ok=True)
        if self._staging >= 0:
            os.close(self._staging)
            self._staging = -1
            if not self._keep_old:
                remove_tree(f"{self._root}/{self._name}")

    def _expect(self, step: Step, before: Snapshot) -> None:
        """Raise `Conflict` unless what is to change is as it was when the command began."""
        try:
            with place(self._root_fd, step.rel) as at:
                now = at.stamp()
        except (FileNotFoundError, NotADirectoryError):
            now = None  # the directory that it was in is gone
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            now = None  # a link stands where that directory was
        if now != before.get(step.rel) and not (step.kind == "mkdir" and now == DIRECTORY):
            raise Conflict(f"{shown(step.rel)!r} was changed by another program while the command ran")

    def _write_record(self, steps: Sequence[Step]) -> None:
        text = json.dumps({"staging": self._name, "steps": [[step.kind, step.rel, step.mode] for step in steps]})
        temporary = self._record.with_suffix(".new")
        with open(temporary, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._record)

    def _do(self, number: int, step: Step, at: Place, there: bool) -> None:
        old = f"{_OLD}{number}"
        if step.kind == "mkdir":
            self._make_dir(step, at)
        elif step.kind in ("rmdir", "unlink"):
            os.rename(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging)
            if step.kind == "rmdir" and _entries(self._staging, old):
                raise Conflict(f"{shown(step.rel)!r} got new files while the command ran")
        elif not there:
            self._put_new(f"{_NEW}{number}", at)
        else:
            try:
                os.link(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging, follow_symlinks=False)
            except OSError:  # no hard links here, or not to this file
                os.rename(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging)
            os.rename(f"{_NEW}{number}", at.name, src_dir_fd=self._staging, dst_dir_fd=at.directory)

    def _make_dir(self, step: Step, at: Place) -> None:
        if at.stamp() == DIRECTORY:
            return
        os.mkdir(at.name, (stat.S_IMODE(step.mode) & 0o777) | 0o700, dir_fd=at.directory)
        if os.geteuid() == 0:
            owner = os.fstat(self._root_fd)
            os.chown(at.name, owner.st_uid, owner.st_gid, dir_fd=at.directory, follow_symlinks=False)

    def _put_new(self, new: str, at: Place) -> None:
        # `link` refuses a name that somebody has taken meanwhile; `rename` would replace what is there.
        try:
            os.link(new, at.name, src_dir_fd=self._staging, dst_dir_fd=at.directory, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.rename(new, at.name, src_dir_fd=self._staging, dst_dir_fd=at.directory)
        else:
            os.unlink(new, dir_fd=self._staging)


def undo(root_fd: int, staging: int, steps: Sequence[Step]) -> bool:
    """Take back what was done of the steps, and leave alone what was not. Returns whether all old contents are back."""
    for number, step in reversed(list(enumerate(steps))):
        with contextlib.suppress(OSError), place(root_fd, step.rel) as at:
            _take_back(number, step, at, staging)
    return not any(name.startswith(_OLD) for name in os.listdir(staging))


def _take_back(number: int, step: Step, at: Place, staging: int) -> None:
    old, new = Place(staging, f"{_OLD}{number}"), Place(staging, f"{_NEW}{number}")
    if step.kind == "mkdir":
        os.rmdir(at.name, dir_fd=at.directory)  # only if it is empty
    elif old.stamp() is not None:
        if _same(old, at):  # linked, and not replaced yet
            os.unlink(old.name, dir_fd=staging)
        elif step.kind == "put" or at.stamp() is None:
            os.rename(old.name, at.name, src_dir_fd=staging, dst_dir_fd=at.directory)
    elif step.kind == "put" and (new.stamp() is None or _same(new, at)):
        os.unlink(at.name, dir_fd=at.directory)


def _same(first: Place, second: Place) -> bool:
    """Return whether both names lead to one file. A change of one of them changes the time of both."""
    return first.stamp() is not None and first.stamp() == second.stamp()


def _entries(directory: int, name: str) -> bool:
    """Return whether a directory has entries. It was moved here from the root."""
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        with os.scandir(opened) as entries:
            return any(True for _ in entries)
    finally:
        os.close(opened)


def recover(root_fd: int, root: str, state: Path) -> None:
    """Undo what a killed server has begun. Raises `OSError` and `ValueError` for a record that cannot be read."""
    record = state / RECORD
    try:
        begun = json.loads(record.read_bytes())
    except FileNotFoundError:
        return
    name = str(begun["staging"])
    if not name.startswith(STAGING) or "/" in name:
        raise ValueError(f"{record} names no directory of ours")
    steps = [Step(kind=kind, rel=str(rel), mode=int(mode)) for kind, rel, mode in begun["steps"]]
    with contextlib.suppress(FileNotFoundError):
        staging = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root_fd)
        try:
            complete = undo(root_fd, staging, steps)
        finally:
            os.close(staging)
        if complete:
            remove_tree(f"{root}/{name}")
    record.unlink()


def _copy_data(source: int, target: int, size: int, work: Work) -> None:
    """Copy what a file holds; its holes stay holes."""
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            end = os.lseek(source, at, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            work.check()
            copied = os.sendfile(target, source, at, min(_CHUNK, end - at))
            if not copied:
                return
            at += copied
