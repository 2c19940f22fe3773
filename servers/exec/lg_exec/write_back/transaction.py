"""Several changes below a root, made as one: when one of them fails, those before it are undone.

New contents are written first, into a directory of their own below the root, and only then put in place by renames. Old
contents are kept beside them until all is done, and go into the journal of change sets, so that they can be taken back
later. A record outside the root says what was begun, so that a server that was killed in between is undone by the next
one (`lg_policy.changes.interrupted`).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lg_exec.process.container import ChangeSet
from lg_exec.process.worker_thread import Work
from lg_exec.write_back.change_record import Tree, describe
from lg_exec.write_back.names import shown
from lg_exec.write_back.snapshot import Snapshot
from lg_policy.changes.durable import SyncBatch
from lg_policy.changes.interrupted import NEW, OLD, STAGING, Begun, Step, forget, undo
from lg_policy.changes.journal import Journal, unwritable
from lg_policy.changes.open_names import DIRECTORY, Place, open_directory, place
from lg_policy.changes.removal import remove_tree
from lg_policy.errors import Conflict

_CHUNK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is changed, by whom it is remembered: the root, a private directory outside of it, and the journal."""

    root_fd: int
    root: str
    state: Path
    journal: Journal


class Transaction:
    """Puts steps into effect. The root's locks must be held."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._root_fd = ground.root_fd
        self._root = ground.root
        self._durable = ground.journal.durable
        self._name = STAGING + secrets.token_hex(8)
        self._staging = -1
        self._keep_old = False

    def stage(self, steps: Sequence[Step], upper: str, work: Work) -> None:
        """Write down every new content. Raises `OSError`; then nothing has changed."""
        Begun(staging=self._name).write(self._ground.state)
        os.mkdir(self._name, 0o700, dir_fd=self._root_fd)
        self._staging = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._root_fd)
        source = os.open(upper, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with SyncBatch(durable=self._durable) as batch:
                for number, step in enumerate(steps):
                    work.check()
                    if step.kind == "put":
                        with _named(step), place(source, step.rel) as found:
                            self._copy(found, f"{NEW}{number}", batch, work)
                batch.sync()
        finally:
            os.close(source)

    def _copy(self, source: Place, name: str, batch: SyncBatch, work: Work) -> None:
        status = os.stat(source.name, dir_fd=source.directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(source.name, dir_fd=source.directory), name, dir_fd=self._staging)
        else:
            mode = stat.S_IMODE(status.st_mode) & 0o777
            if not mode & 0o400:  # closed by the command to its own user
                os.chmod(source.name, 0o600, dir_fd=source.directory)
            reader = os.open(source.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source.directory)
            with open(reader, "rb", buffering=0) as content:
                writer = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._staging)
                try:
                    _copy_data(content.fileno(), writer, status.st_size, work)
                    os.fchmod(writer, mode)
                except BaseException:
                    os.close(writer)
                    raise
                batch.add(writer)
        if os.geteuid() == 0:
            os.chown(name, status.st_uid, status.st_gid, dir_fd=self._staging, follow_symlinks=False)

    def commit(self, steps: Sequence[Step], before: Snapshot, work: Work) -> ChangeSet:
        """Put everything in place, and return the change set in the journal.

        Raises `Conflict`, `CallTimeout` or `OSError`; then everything is as it was.
        """
        removed = {step.rel for step in steps if step.kind in ("unlink", "rmdir")}
        checked = [step.kind in ("unlink", "rmdir") or step.rel not in removed for step in steps]
        seen = ["" for _ in steps]
        for number, step in enumerate(steps):
            work.check()
            if checked[number]:
                seen[number] = self._expect(step, before)
        made = {n: Place(self._staging, f"{NEW}{n}").content() for n, step in enumerate(steps) if step.kind == "put"}
        changes = self._remember(steps, before, work)
        touched: set[str] = set()
        try:
            Begun(staging=self._name, steps=steps, made=made, change_id=changes.change_id).write(self._ground.state)
            for number, step in enumerate(steps):
                work.check()
                there = checked[number] and before.get(step.rel) is not None
                if there and step.kind in ("unlink", "put"):
                    self._expect(step, before, linked=seen[number] if seen[number] in touched else "")
                    touched.add(seen[number])
                with _named(step), place(self._root_fd, step.rel) as at:
                    self._do(number, step, at, there)
            self._sync(steps)
            self._finish(changes)
        except BaseException as error:
            self._undo(steps, made, changes, error)
            raise
        return changes

    def _remember(self, steps: Sequence[Step], before: Snapshot, work: Work) -> ChangeSet:
        tree = Tree(root_fd=self._root_fd, staging=self._staging, before=before)
        try:
            return describe(self._ground.journal, tree, steps, work)
        except OSError as error:
            raise unwritable(error) from error

    def _undo(self, steps: Sequence[Step], made: dict[int, str], changes: ChangeSet, error: BaseException) -> None:
        self._keep_old = not undo(self._root_fd, self._staging, steps, made)
        if changes.entry is not None:
            self._ground.journal.drop(changes.entry)
        if self._keep_old:
            raise Conflict(
                f"{error}; not everything could be undone, because another program is changing the same files: "
                f"the old contents are in {self._root}/{self._name}"
            ) from error

    def _sync(self, steps: Sequence[Step]) -> None:
        """Make the renames durable, as far as the directories are still there."""
        if not self._durable:
            return
        with SyncBatch(durable=True) as batch:
            for parent in {step.rel.rpartition("/")[0] for step in steps}:
                try:
                    batch.add(open_directory(self._root_fd, parent))
                except (FileNotFoundError, NotADirectoryError):
                    continue  # removed with what was in it
            batch.sync()

    def _finish(self, changes: ChangeSet) -> None:
        if changes.entry is not None:
            self._ground.journal.finish(changes.entry)

    def close(self) -> None:
        """Forget the record, and remove the directory with new and old contents."""
        forget(self._ground.state)
        if self._staging >= 0:
            os.close(self._staging)
            self._staging = -1
            if not self._keep_old:
                remove_tree(f"{self._root}/{self._name}")

    def _expect(self, step: Step, before: Snapshot, linked: str = "") -> str:
        """Return what is to change (`Place.content`). Raises `Conflict` unless it is as it was when the command began.

        `linked`: a step before this one changed another name of the same file, so its change time is a new one.
        """
        content = ""
        try:
            with place(self._root_fd, step.rel) as at:
                now, content = at.stamp(), at.content()
        except (FileNotFoundError, NotADirectoryError):
            now = None  # the directory that it was in is gone
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            now = None  # a link stands where that directory was
        same = content == linked if linked else now == before.get(step.rel)
        if not same and not (step.kind == "mkdir" and now == DIRECTORY):
            raise Conflict(f"{shown(step.rel)!r} was changed by another program while the command ran")
        return content

    def _do(self, number: int, step: Step, at: Place, there: bool) -> None:
        old = f"{OLD}{number}"
        if step.kind == "mkdir":
            self._make_dir(step, at)
        elif step.kind in ("rmdir", "unlink"):
            os.rename(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging)
            if step.kind == "rmdir" and _entries(self._staging, old):
                raise Conflict(f"{shown(step.rel)!r} got new files while the command ran")
        elif not there:
            self._put_new(f"{NEW}{number}", at)
        else:
            try:
                os.link(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging, follow_symlinks=False)
            except OSError:  # no hard links here, or not to this file
                os.rename(at.name, old, src_dir_fd=at.directory, dst_dir_fd=self._staging)
            os.rename(f"{NEW}{number}", at.name, src_dir_fd=self._staging, dst_dir_fd=at.directory)

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


@contextmanager
def _named(step: Step) -> Iterator[None]:
    """Name the file that cannot be put in place."""
    try:
        yield
    except OSError as error:
        raise Conflict(f"{shown(step.rel)!r}: {error.strerror or error}") from error


def _entries(directory: int, name: str) -> bool:
    """Return whether a directory has entries. It was moved here from the root."""
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        with os.scandir(opened) as entries:
            return any(True for _ in entries)
    finally:
        os.close(opened)


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
