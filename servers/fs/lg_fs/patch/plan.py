"""Turns parsed changes into planned states of files. It reads, checks and computes everything and changes nothing."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lg_fs.patch.diff import FileDiff, file_diff
from lg_fs.patch.document import MAX_LINES, load, replaced
from lg_fs.patch.levels import EXACT
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.model import FileChange
from lg_fs.patch.targets import Target, Targets
from lg_fs.patch.whole_text import refuse_other_than_text
from lg_fs.reading.encoding import binary_kind, evident, is_binary
from lg_policy.config.settings import FsSettings
from lg_policy.errors import Conflict, InvalidArguments, LgError, NotFound, PolicyDenied, TooLarge
from lg_policy.jobs import Job
from lg_policy.tree.look_alikes import skeleton
from lg_policy.tree.workspace import ServedRoot

_CHUNK = 1 << 20
_MAX_TOTAL_BYTES = 64_000_000  # of all files of a patch, before and after: they are in memory together


@dataclass(frozen=True, kw_only=True)
class FileIdentity:
    """Shows whether a file is still the one that was read."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Return the identity that a `stat` shows."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
        )


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """One file before and after. `path` and `to` are resolved names below the root of `place`; `before` is `None` for a
    new file, `after` for a deleted one; `mode` are the permission bits that the file has or gets, and `mode_before`
    those that it has, where they may differ. The content of a link is its target.
    """

    place: ServedRoot
    op: str
    path: str
    to: str | None
    before: bytes | None
    after: bytes | None
    mode: int
    identity: FileIdentity | None
    match: str | None
    diff: FileDiff
    mode_before: int | None = None
    link_before: bool = False
    link_after: bool = False

    @property
    def before_sha256(self) -> str | None:
        """Return the hash of the content before."""
        return None if self.before is None else sha256(self.before)

    @property
    def after_sha256(self) -> str | None:
        """Return the hash of the content after."""
        return None if self.after is None else sha256(self.after)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The caller's view of the files: hashes by path (`None`: no file), and all files that may change, if it says."""

    hashes: Mapping[str, str | None] = field(default_factory=dict)
    paths: Sequence[str] | None = None


def sha256(data: bytes) -> str:
    """Return the hash as hex."""
    return hashlib.sha256(data).hexdigest()


class Planner:
    """Plans all changes of one patch."""

    def __init__(self, targets: Targets, settings: FsSettings, job: Job) -> None:
        self._targets = targets
        self._settings = settings
        self._job = job
        self._names: set[str] = set()
        self._inodes: dict[tuple[int, int], str] = {}
        self._total = 0

    def plan(self, changes: Sequence[FileChange]) -> list[PlannedFile]:
        """Plan in order. Raises the first error; its message begins with the number of the operation."""
        if len(changes) > self._settings.patch_max_files:
            raise TooLarge(
                f"the patch touches {len(changes)} files; {self._settings.patch_max_files} are allowed",
                hint="split it into several patches",
            )
        planned: list[PlannedFile] = []
        for number, change in enumerate(changes, 1):
            self._job.check_time()
            self._job.message = f"planning {change.path}"
            try:
                planned.append(self._planned_change(change))
                self._job.done += 1
            except LgError as error:
                if len(changes) == 1:
                    raise
                where = f"operation {number} ({change.op} {change.path!r})"
                raise type(error)(f"{where}: {error.message}", hint=error.hint) from error
        return planned

    def check_expected(self, planned: Sequence[PlannedFile], expected: Expected) -> None:
        """Raise `Conflict` if files are not as the caller saw them. The error names each of them."""
        if expected.paths is not None:
            touched = [file.place.prefix + name for file in planned for name in (file.path, file.to) if name]
            others = sorted(set(touched) - set(expected.paths))
            if others:
                raise Conflict(
                    f"the patch would now touch {', '.join(others)}, which expected_paths does not name",
                    hint="a link may lead elsewhere than before: look again and make a new patch",
                )
        known = {(file.place.root.id, file.path): file.before_sha256 for file in planned}
        known |= {(file.place.root.id, file.to): None for file in planned if file.to is not None}
        wrong: list[str] = []
        for path, wanted in expected.hashes.items():
            self._job.check_time()
            target = self._targets.readable(path)
            name = target.place.root.id, target.rel
            actual = known[name] if name in known else self._current(target)
            if (wanted.lower() if wanted is not None else None) != actual:
                wrong.append(f"{path} ({'does not exist' if actual is None else f'is {actual}'})")
        if wrong:
            raise Conflict(
                f"changed since it was read: {', '.join(wrong)}", hint="read the file again and make a new patch"
            )

    def _current(self, target: Target) -> str | None:
        try:
            with self._targets.open(target) as file:
                return sha256(self._read(file.fd, target.rel))
        except NotFound:
            return None

    def _planned_change(self, change: FileChange) -> PlannedFile:
        if change.op == "add":
            return self._add(change)
        if change.op in ("delete", "move"):
            self._targets.refuse_link(change.path)
        self._targets.refuse_two_meanings(change)
        if change.is_new_file() and self._targets.is_missing(change.path):
            return self._add(replace(change, op="add", content=change.new_text(), hunks=()))
        target = self._claim(self._existing(change))
        data, identity = self._load(target)
        mode = stat.S_IMODE(identity[1])
        if change.op == "delete":
            self._check_deleted(change, data)
            return self._planned(change, target, None, data, None, mode, identity[0], None)
        to: str | None = None
        if change.op == "move":
            to = self._new_name(change, target)
        after, match = self._changed(change, target, data, identity[2])
        return self._planned(change, target, to, data, after, mode, identity[0], match)

    def _existing(self, change: FileChange) -> Target:
        try:
            return self._targets.existing(change.path)
        except NotFound as error:
            meant = self._targets.meant(change)
            if meant is not None:
                return meant
            if not change.hunks or any(hunk.old for hunk in change.hunks):
                raise
            hint = f"{error.hint}; to make a new file, write '*** Add File: PATH'"
            raise NotFound(error.message, hint=hint) from error

    def _new_name(self, change: FileChange, source: Target) -> str:
        target = self._claim(self._targets.missing(change.to or "", source=source.rel), moved=source.rel)
        if target.place is not source.place:
            raise InvalidArguments(
                f"{change.path!r} cannot move to {change.to!r}, below another root",
                hint="add it there and delete it here, in one patch",
            )
        return target.rel

    def _add(self, change: FileChange) -> PlannedFile:
        target = self._claim(self._targets.missing(change.path))
        refuse_other_than_text(change.path, change.content or "", None)
        after = self._encoded(change.content or "", change.path)
        mode = (0o777 if change.executable else 0o666) & ~_umask()
        return self._planned(change, target, None, None, after, mode, None, None)

    def _changed(self, change: FileChange, target: Target, data: bytes, links: int) -> tuple[bytes, str | None]:
        if not change.hunks and change.content is None:
            return data, None
        if links > 1 and not self._settings.write_hard_links:
            raise PolicyDenied(
                f"{target.rel!r} has {links} hard links, and the others may lie outside the root",
                hint="copy the file first; [fs] write_hard_links = true in the settings allows changing it",
            )
        if is_binary(data) and not self._settings.write_binary:
            raise PolicyDenied(
                f"{target.rel!r} is not text: {binary_kind(data)}", hint="[fs] write_binary allows changing it"
            )
        document = load(data)
        found = evident(data)
        if found is not None and found != document.encoding and found.wide:
            raise InvalidArguments(
                f"{target.rel!r} begins as {found.label}, but is not valid in it to its end",
                hint="lg-fs does not change such a file by lines; replace it by a new one",
            )
        if change.content is not None:
            refuse_other_than_text(change.path, change.content, document.text())
            self._encoded(change.content, change.path)
            return self._bounded(replaced(document, change.content).encode(), target.rel), None
        applied = apply_hunks(document, change, self._job.step)
        after = self._bounded(applied.document.encode(), target.rel)
        if found is not None and found.wide and after and evident(after) != found:
            raise InvalidArguments(
                f"with the new text {target.rel!r} would no longer be read as {found.label}: it has no byte order mark",
                hint="replace the file by a new one in UTF-8",
            )
        if after == data and change.op == "update":
            breaks = any(text.endswith("\r") for hunk in change.hunks for _, text in hunk.lines)
            raise Conflict(
                f"the patch leaves {change.path!r} as it is",
                hint="a patch keeps the line breaks of a file: to change them, delete the file and add it again"
                if breaks
                else "its new lines are those that are there",
            )
        self._encoded("".join(line.text for line in applied.document.lines), change.path)
        return after, applied.match or EXACT

    def _check_deleted(self, change: FileChange, data: bytes) -> None:
        """Raise `Conflict` if the lines that a diff deletes are not what the file holds."""
        if change.hunks and apply_hunks(load(data), change, self._job.step).document.lines:
            raise Conflict(
                f"{change.path!r} has lines that the patch does not delete",
                hint="read the file again and make a new patch",
            )

    def _encoded(self, content: str, path: str) -> bytes:
        if "\0" in content and not self._settings.write_binary:
            raise PolicyDenied(
                f"the new content of {path!r} is not text: it contains NUL", hint="[fs] write_binary allows writing it"
            )
        try:
            return self._bounded(content.encode(), path)
        except UnicodeEncodeError as error:
            raise InvalidArguments(
                f"the new content of {path!r} has a lone surrogate", hint="send it as valid Unicode"
            ) from error

    def _bounded(self, data: bytes, path: str) -> bytes:
        if len(data) > self._settings.patch_max_file_bytes:
            raise TooLarge(
                f"{path!r} would have {len(data)} bytes; {self._settings.patch_max_file_bytes} are allowed",
                hint="[fs] patch_max_file_bytes is the limit",
            )
        return self._counted(data, path)

    def _counted(self, data: bytes, path: str) -> bytes:
        """Count content towards what one patch may hold. Raises `TooLarge`."""
        self._total += len(data)
        if self._total > _MAX_TOTAL_BYTES:
            raise TooLarge(
                f"the files of the patch have more than {_MAX_TOTAL_BYTES} bytes together",
                hint="split it into several patches",
            )
        if (data.count(b"\n") or data.count(b"\r")) > MAX_LINES and not is_binary(data):
            raise TooLarge(f"{path!r} has more than {MAX_LINES} lines", hint="lg-fs does not change such files")
        return data

    def _claim(self, target: Target, *, moved: str | None = None) -> Target:
        """Refuse a file that another operation already has, under any name; `moved` becomes `target`."""
        name = skeleton(target.place.prefix + target.rel)
        if name in self._names and (moved is None or skeleton(target.place.prefix + moved) != name):
            raise InvalidArguments(
                f"{target.given!r} is already part of this patch", hint="put all changes of a file into one operation"
            )
        self._names.add(name)
        if target.status is not None:
            shown = target.place.prefix + target.rel
            same = self._inodes.setdefault((target.status.st_dev, target.status.st_ino), shown)
            if same != shown:
                raise InvalidArguments(f"{target.given!r} and {same!r} are the same file", hint="change it once")
        return target

    def _load(self, target: Target) -> tuple[bytes, tuple[FileIdentity, int, int]]:
        with self._targets.open(target) as file:
            data = self._read(file.fd, target.rel)
            status = file.stat
        return self._counted(data, target.rel), (FileIdentity.of(status), status.st_mode, status.st_nlink)

    def _read(self, fd: int, rel: str) -> bytes:
        limit = self._settings.patch_max_file_bytes
        parts: list[bytes] = []
        size = 0
        while chunk := os.read(fd, _CHUNK):
            self._job.check_time()
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"{rel!r} has more than {limit} bytes", hint="[fs] patch_max_file_bytes is the limit")
            parts.append(chunk)
        return b"".join(parts)

    def _planned(
        self,
        change: FileChange,
        target: Target,
        to: str | None,
        before: bytes | None,
        after: bytes | None,
        mode: int,
        identity: FileIdentity | None,
        match: str | None,
    ) -> PlannedFile:
        prefix = target.place.prefix
        old = None if before is None else prefix + target.rel
        new = None if after is None else prefix + (to or target.rel)
        return PlannedFile(
            place=target.place,
            op=change.op,
            path=target.rel,
            to=to,
            before=before,
            after=after,
            mode=mode,
            identity=identity,
            match=match,
            diff=file_diff(old, new, before, after, mode=mode, check=self._job.check_time),
        )


def _umask() -> int:
    """Return the process's umask. It can only be read by setting it, except from the kernel's files."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass  # no /proc: fall through to the usual value
    return 0o022
