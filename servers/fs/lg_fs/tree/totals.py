"""Sizes of a tree by directory and extension: the shape of a repository in one call."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from lg_fs.reading.encoding import SNIFF, Encoding, evident, is_sparse
from lg_fs.reading.line_count import LineCount, count_lines
from lg_fs.tree.glob_argument import GlobArg
from lg_fs.tree.tree_digest import TreeDigest
from lg_policy.config.settings import FsSettings
from lg_policy.jobs import Job
from lg_policy.tree.names import shown
from lg_policy.tree.walk import Folder, Walk, open_regular

_CHUNK = 1 << 18
_MAX_EXTENSION = 16
_MAX_EXTENSIONS = 1_000
OTHER = "*"  # stands for the extensions over the limit


@dataclass(kw_only=True)
class Count:
    """Files, and their bytes and lines. A binary file has no lines."""

    files: int = 0
    bytes: int = 0
    lines: int = 0

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.files += other.files
        self.bytes += other.bytes
        self.lines += other.lines


@dataclass(kw_only=True)
class Totals:
    """The result. `rows` are per directory and extension; with `depth`, deeper directories count in that level."""

    files: int = 0
    bytes: int = 0
    lines: int = 0
    directories: int = 0
    binary_files: int = 0
    skipped: int = 0
    hidden: int = 0
    extensions: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    depth: int | None = None
    partial: str | None = None
    digest: str | None = None
    """The digest of the names and contents of all counted files (`lg_fs.tree.tree_digest`)."""
    digest_missing: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


Cells = dict[tuple[str, str], Count]


class TotalsJob:
    """Counts the files of one or more walks."""

    def __init__(self, job: Job, wanted: GlobArg, settings: FsSettings) -> None:
        self._job = job
        self._wanted = wanted
        self._digest = TreeDigest(settings.digest_max_mb)
        self._max_links = 1 if settings.hard_links == "refuse" else None
        self._cells: Cells = defaultdict(Count)
        self._names: dict[str, str] = {}
        self._result = Totals()

    def add(self, walk: Walk, prefix: str = "") -> None:
        """Count everything that the walk yields; `prefix` stands before its directories."""
        for folder in walk:
            self._folder(folder, prefix)
            if self._job.late():
                walk.result.stopped = f"stopped after {self._job.deadline.seconds:g} s; narrow path or glob"
                break
        self._result.directories += max(0, walk.result.directories - 1)
        self._result.skipped += walk.result.unreadable + walk.result.unnameable
        self._result.hidden += walk.result.hidden
        self._result.partial = self._result.partial or walk.result.stopped

    def result(self, max_rows: int) -> Totals:
        """Return the counts in order, rolled up so that there are at most `max_rows` rows."""
        result = self._result
        by_extension: dict[str, Count] = defaultdict(Count)
        for (_, extension), count in self._cells.items():
            by_extension[extension].add(count)
            result.files += count.files
            result.bytes += count.bytes
            result.lines += count.lines
        result.extensions = [
            {"extension": extension, **asdict(count)}
            for extension, count in sorted(
                by_extension.items(), key=lambda item: (-item[1].lines, -item[1].files, item[0])
            )
        ]
        result.digest_missing = result.partial or self._digest.missing
        result.digest = None if result.digest_missing else self._digest.hexdigest()
        cells, result.depth = roll_up(self._cells, max_rows, self._job.check_time)
        result.rows = [
            {"directory": directory, "extension": extension, **asdict(count)}
            for (directory, extension), count in sorted(cells.items())
        ]
        return result

    def _folder(self, folder: Folder, prefix: str) -> None:
        directory = shown(prefix + folder.path).rstrip("/")
        for entry in self._wanted.select(folder.entries, self._job):
            if entry.kind == "dir":
                continue
            self._job.tick()
            try:
                if entry.kind != "file":
                    self._result.skipped += 1
                    if entry.kind == "symlink":
                        self._digest.link(entry.name, folder.fd)
                    continue
                measured = measure(entry.name, folder.fd, self._job, self._digest, self._max_links)
            except OSError:
                self._result.skipped += entry.kind == "file"
                continue
            self._digest.file(entry.name, measured.content, executable=measured.executable)
            cell = self._cells[directory, self._extension(entry.name)]
            cell.files += 1
            cell.bytes += measured.size
            cell.lines += measured.lines
            self._result.binary_files += measured.binary
        self._digest.end_directory(directory)

    def _extension(self, name: str) -> str:
        extension = extension_of(name)
        if extension not in self._names:
            self._names[extension] = extension if len(self._names) < _MAX_EXTENSIONS else OTHER
        return self._names[extension]


def extension_of(name: str) -> str:
    """Return the extension in lower case with its dot (".py"), or "" if there is none or it is too odd."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension) > _MAX_EXTENSION or not extension.isalnum():
        return ""
    return f".{extension.lower()}"


class Measured(NamedTuple):
    """One file; `content` is the SHA-256 of its bytes, `None` where they were not all read."""

    size: int
    lines: int
    binary: bool
    executable: bool
    content: bytes | None


def measure(name: str, dir_fd: int, job: Job, digest: TreeDigest, max_links: int | None = None) -> Measured:
    """Read a file once. Of a large binary one only the digest needs the rest.

    Raises `OSError`, also for a file with more than `max_links` names.
    """
    fd = open_regular(name, dir_fd)
    try:
        status = os.fstat(fd)
        if max_links is not None and status.st_nlink > max_links:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), name)
        data = os.read(fd, _CHUNK)
        encoding = evident(data) if b"\0" in data[:SNIFF] else None
        binary = (encoding is None and b"\0" in data[:SNIFF]) or is_sparse(fd, status.st_size)
        executable = bool(status.st_mode & stat.S_IXUSR)
        if len(data) < _CHUNK:  # a regular file is read short only at its end
            lines = 0 if binary else count_lines(data) if encoding is None else _wide_lines(data, encoding)
            return Measured(len(data), lines, binary, executable, hashlib.sha256(data).digest())
        if binary:
            digest.room -= status.st_size - len(data)
            if digest.room < 0:
                return Measured(status.st_size, 0, True, executable, None)
        counter, content = LineCount(encoding), hashlib.sha256()
        while data:
            content.update(data)
            counter.add(data)
            data = b"" if job.late() else os.read(fd, _CHUNK)
        return Measured(status.st_size, 0 if binary else counter.lines(), binary, executable, content.digest())
    finally:
        os.close(fd)


def _wide_lines(data: bytes, encoding: Encoding) -> int:
    counter = LineCount(encoding)
    counter.add(data)
    return counter.lines()


def _no_check() -> None:
    """Never stop the work."""


def roll_up(cells: Cells, max_rows: int, check: Callable[[], None] = _no_check) -> tuple[Cells, int | None]:
    """Merge the deepest directories into those above until at most `max_rows` cells are left.

    Returns the cells and the depth that was needed, `None` for none. When even one level has too many extensions,
    the smallest are merged under "*". `check` may raise to end the work.
    """
    if len(cells) <= max_rows:
        return cells, None
    fits, too_deep = 0, max(directory.count("/") + 1 for directory, _ in cells)
    while too_deep - fits > 1:
        check()
        middle = (fits + too_deep) // 2
        if len({(_cut(directory, middle), extension) for directory, extension in cells}) <= max_rows:
            fits = middle
        else:
            too_deep = middle
    merged: Cells = defaultdict(Count)
    for (directory, extension), count in cells.items():
        merged[_cut(directory, fits), extension].add(count)
    return (merged if len(merged) <= max_rows else _merge_smallest(merged, max_rows)), fits


def _cut(directory: str, depth: int) -> str:
    return "/".join(directory.split("/", depth)[:depth])


def _merge_smallest(cells: Cells, max_rows: int) -> Cells:
    ranked = sorted(cells.items(), key=lambda item: (-item[1].lines, -item[1].files, item[0]))
    kept: Cells = defaultdict(Count)
    for number, ((directory, extension), count) in enumerate(ranked):
        kept[directory, extension if number < max_rows - 1 else OTHER].add(count)
    return kept
