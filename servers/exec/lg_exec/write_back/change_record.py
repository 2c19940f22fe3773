"""What a command changes, as a change set in the journal that `lg-fs` reverts.

A change set can be reverted when every name in it can be named in a call, and when its contents fit into the limits of
`[fs]`. Where that is not so, the changes are kept all the same, and the result says why they cannot be taken back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from lg_exec.process.container import ChangeSet
from lg_exec.process.worker_thread import Work
from lg_exec.write_back.names import shown
from lg_exec.write_back.snapshot import Snapshot
from lg_policy.changes.interrupted import NEW, Step
from lg_policy.changes.journal import Entry, Journal
from lg_policy.changes.open_names import DIRECTORY, Place, place
from lg_policy.changes.records import ChangeRecord, FileRecord
from lg_policy.config.settings import FsSettings
from lg_policy.errors import Conflict

KIND = "command"
_CHUNK = 1 << 20
_SHARE = 8
"""One command may take this part of the journal's bytes, old and new contents together."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Where old and new contents are: below the root, and in the directory in which they wait."""

    root_fd: int
    staging: int
    before: Snapshot

    def has_old(self, step: Step) -> bool:
        """Return whether there was a file or a link of that name before."""
        return step.kind in ("unlink", "put") and self.before.get(step.rel) not in (None, DIRECTORY)

    def new(self, number: int) -> Place:
        """Return where the new content of a step waits."""
        return Place(self.staging, f"{NEW}{number}")


class _CannotRecordError(Exception):
    """Why the changes cannot be reverted later. Never leaves this module."""


def describe(journal: Journal, tree: Tree, steps: Sequence[Step], work: Work) -> ChangeSet:
    """Begin a change set in the journal.

    Raises `OSError` if the journal cannot be written, and `Conflict` if a file cannot be read.
    """
    change_id = secrets.token_hex(8)
    try:
        _refuse_unfit(steps)
        _refuse_large(tree, steps, journal.settings, work)
        with journal.entry(change_id) as entry:
            files = _files(entry, tree, steps, work)
            entry.seal(_record(change_id, steps, tree.before, files))
    except _CannotRecordError as why:
        return ChangeSet(why_not=str(why))
    return ChangeSet(change_id=change_id, files=tuple(files), entry=entry.directory)


def _refuse_unfit(steps: Sequence[Step]) -> None:
    """Refuse a set without files, and names that no call can give: with control characters or not in UTF-8."""
    for step in steps:
        if any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in step.rel):
            raise _CannotRecordError(f"{shown(step.rel)} is a name that no tool can be told")
    if not any(step.kind in ("unlink", "put") for step in steps):
        raise _CannotRecordError("only directories were made or removed")


def _refuse_large(tree: Tree, steps: Sequence[Step], settings: FsSettings, work: Work) -> None:
    """Refuse contents that are too large to be kept, before any of them is read."""
    of_all = settings.journal_max_bytes // _SHARE
    total = 0
    for number, step in enumerate(steps):
        work.check()
        sizes = [_size(tree.new(number), step.rel)] if step.kind == "put" else []
        if tree.has_old(step):
            with _opened(tree.root_fd, step.rel) as at:
                sizes.append(_size(at, step.rel))
        total += sum(sizes)
        if max(sizes, default=0) > settings.patch_max_file_bytes:
            raise _CannotRecordError(
                f"{step.rel} has {max(sizes)} bytes; fs.patch_max_file_bytes is {settings.patch_max_file_bytes}"
            )
        if total > of_all:
            raise _CannotRecordError(
                f"old and new contents have more than {of_all} bytes, 1/{_SHARE} of fs.journal_max_bytes"
            )


def _size(at: Place, rel: str) -> int:
    with _reading(rel):
        return os.stat(at.name, dir_fd=at.directory, follow_symlinks=False).st_size


def _files(entry: Entry, tree: Tree, steps: Sequence[Step], work: Work) -> list[FileRecord]:
    files: list[FileRecord] = []
    for number, step in enumerate(steps):
        work.check()
        if step.kind not in ("unlink", "put"):
            continue
        old = new = None
        if tree.has_old(step):
            with _opened(tree.root_fd, step.rel) as at:
                old = _Content.read(at, step.rel, work, lambda chunks: entry.keep(len(files), chunks))
        if step.kind == "put":
            new = _Content.read(tree.new(number), step.rel, work, _exhaust)
        files.append(_file_record(step.rel, old, new))
    return files


def _exhaust(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


@dataclass(frozen=True, kw_only=True)
class _Content:
    """One state of a file: the hash of its content, or of the target of a link, and its permission bits."""

    sha256: str
    mode: int
    link: bool

    @classmethod
    def read(cls, at: Place, rel: str, work: Work, keep: Callable[[Iterator[bytes]], None]) -> _Content:
        """Read what is there, and hand it to `keep`. Raises `OSError`."""
        with _reading(rel):
            status = os.stat(at.name, dir_fd=at.directory, follow_symlinks=False)
        digest = hashlib.sha256()
        link = stat.S_ISLNK(status.st_mode)
        keep(_hashed(_target(at, rel) if link else _chunks(at, rel, status, work), digest.update))
        return cls(sha256=digest.hexdigest(), mode=stat.S_IMODE(status.st_mode), link=link)


def _hashed(chunks: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


@contextmanager
def _reading(rel: str) -> Iterator[None]:
    """Name the file that cannot be read. Another program may have changed it meanwhile."""
    try:
        yield
    except OSError as error:
        raise Conflict(f"{shown(rel)!r} cannot be read: {error.strerror or error}") from error


@contextmanager
def _opened(root_fd: int, rel: str) -> Iterator[Place]:
    with ExitStack() as stack:
        with _reading(rel):
            at = stack.enter_context(place(root_fd, rel))
        yield at


def _target(at: Place, rel: str) -> Iterator[bytes]:
    with _reading(rel):
        target = os.readlink(at.name, dir_fd=at.directory)
    yield os.fsencode(target)


def _chunks(at: Place, rel: str, status: os.stat_result, work: Work) -> Iterator[bytes]:
    """Read a regular file, at most as long as it was found to be. One that is closed to this user cannot be read."""
    if not stat.S_ISREG(status.st_mode):
        raise _CannotRecordError(f"{rel} was neither a file nor a link")
    with _reading(rel):
        try:
            fd = os.open(at.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at.directory)
        except PermissionError as error:
            raise _CannotRecordError(f"{rel} cannot be read: {error.strerror}") from error
    with open(fd, "rb", buffering=0) as file:
        left = status.st_size
        while left > 0:
            work.check()
            with _reading(rel):
                chunk = file.read(min(_CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk


def _file_record(rel: str, old: _Content | None, new: _Content | None) -> FileRecord:
    known = old or new
    changed = old is not None and new is not None and old.mode != new.mode
    return FileRecord(
        op="delete" if new is None else "add" if old is None else "update",
        path=rel,
        to=None,
        before_sha256=None if old is None else old.sha256,
        after_sha256=None if new is None else new.sha256,
        mode=known.mode if known is not None else 0,
        added=0,
        removed=0,
        match=None,
        mode_after=new.mode if new is not None and changed else None,
        link_before=old is not None and old.link,
        link_after=new is not None and new.link,
    )


def _record(change_id: str, steps: Sequence[Step], before: Snapshot, files: Sequence[FileRecord]) -> ChangeRecord:
    removed = {step.rel: None for step in steps if step.kind == "rmdir"}
    made = {step.rel: None for step in steps if step.kind == "mkdir"}
    return ChangeRecord(
        change_id=change_id,
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        kind=KIND,
        reverts=None,
        key=None,
        arguments_digest="",
        prefix="",
        files=tuple(files),
        made_dirs=tuple(rel for rel in made if before.get(rel) != DIRECTORY),
        removed_dirs=tuple(rel for rel in removed if rel not in made),
        diff="",
    )
