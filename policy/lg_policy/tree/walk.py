"""Walk a directory tree below a confined descriptor, one directory at a time, rules and ignore files applied.

Order: the entries of a directory by name, then each subdirectory's in turn. That order is total, so a page can be
continued after a path, whatever changed meanwhile. Symlinks are shown, never followed: each directory is opened
relative to its parent's descriptor with `O_NOFOLLOW`, so a swapped directory is skipped, not trusted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Opened
from lg_policy.tree.ignore import MAX_IGNORE_BYTES, IgnoreFile, ignored
from lg_policy.tree.names import nameable

MAX_DEPTH = 100  # a walk keeps one descriptor for each level
_IGNORE_FILES = (".gitignore", ".ignore")
# Not the project's own text, whatever ignore files say; `include_ignored` or naming the directory shows it.
_NEVER_SOURCE = frozenset({".git", "node_modules", "__pycache__"})
# A directory with one of these was filled by a tool: a virtual environment (PEP 405), a cache (CACHEDIR.TAG).
_MADE_BY_TOOLS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})
TELLING_FILES = frozenset(_IGNORE_FILES) | _MADE_BY_TOOLS
"""Files that decide what else in their directory, or below it, a walk shows."""
_TELLING = TELLING_FILES | _NEVER_SOURCE
_NAME = attrgetter("name")
_LOOK_EVERY = 4_096  # entries of a directory between two looks at whether the caller still waits
_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class DirEntry(NamedTuple):
    """One name in a directory. `path` is relative to the root; `kind` is file, dir, symlink or other."""

    name: str
    path: str
    kind: str
    judged: str
    """The path as glob sets judge it: with a trailing slash for a directory."""
    dirent: os.DirEntry[str]


class Folder(NamedTuple):
    """One directory of a walk, with its visible entries sorted by name. `fd` is open until the next directory."""

    path: str
    fd: int
    entries: list[DirEntry]


@dataclass(kw_only=True)
class WalkPlan:
    """The rules and limits of a walk."""

    rules: FileRules
    job: Job
    max_entries: int
    recursive: bool = True
    include_ignored: bool = False
    after: tuple[str, ...] | None = None
    """Path (in parts) of the entry after which to continue; `None` starts at the beginning."""
    chosen: bool = True
    """Whether the caller asked for the start by its name. If not, it is left out like any other directory."""
    entered: Callable[[int, str], None] | None = None
    """Called with the descriptor and the path of each directory before its names are read."""


@dataclass(kw_only=True)
class WalkResult:
    """The counts of a walk. They are complete once the iteration has ended."""

    entries_seen: int = 0
    directories: int = 0
    unreadable: int = 0
    """Directories that the system did not open."""
    unnameable: int = 0
    """Names that no tool accepts: they hold control characters, or are not UTF-8."""
    hidden: int = 0
    """Names that the rules hide. What lies below a hidden directory is not counted."""
    stopped: str | None = None
    """Why the walk ended early, in words."""


class Walk:
    """An iteration over the directories below an opened one."""

    def __init__(self, start: Opened, plan: WalkPlan) -> None:
        self._start = start
        self._plan = plan
        self.result = WalkResult()
        self._ignores: list[tuple[IgnoreFile | None, IgnoreFile | None]] = []
        self._left_out = False

    def hold_ignores(self, directory: Opened) -> None:
        """Let the ignore files of a directory above the start count too. Call it from the root downwards."""
        self._ignores.append(_read_ignores(directory.fd, directory.rel, set(_IGNORE_FILES)))

    def would_ignore(self, path: str) -> bool:
        """Return whether the held ignore files hide the start directory itself."""
        parts = path.split("/")
        above = [f"{'/'.join(parts[:n])}/" for n in range(1, len(parts) + 1)]
        return bool(ignored(self._strongest(), above, self._plan.job.check_time))

    def start_is_ignored(self) -> None:
        """Drop the held ignore files where the caller asked for an ignored directory by name; else show nothing."""
        self._ignores.clear()
        self._left_out = not self._plan.chosen

    def __iter__(self) -> Iterator[Folder]:
        if not self._left_out:
            yield from self._visit(self._start.fd, self._start.rel, 0)

    def _visit(self, fd: int, path: str, depth: int) -> Iterator[Folder]:
        position, begin = self._position(path)
        if self._plan.entered is not None:
            self._plan.entered(fd, path)
        folder, has_ignores = self._scan(fd, path, position, begin)
        self.result.directories += 1
        try:
            if position != "before":
                yield folder if position == "past" else self._rest(folder)
            if self._plan.recursive:
                yield from self._descend(folder, depth)
        finally:
            if has_ignores:
                self._ignores.pop()

    def _descend(self, folder: Folder, depth: int) -> Iterator[Folder]:
        for entry in folder.entries:
            if entry.kind != "dir":
                continue
            if depth + 1 >= MAX_DEPTH:
                self.result.stopped = f"directories deeper than {MAX_DEPTH} levels were not entered"
                return
            if self._over():
                return
            try:
                fd = os.open(entry.name, _DIR_FLAGS, dir_fd=folder.fd)
            except OSError:
                self.result.unreadable += 1  # removed, replaced or closed to us since it was listed
                continue
            try:
                yield from self._visit(fd, entry.path, depth + 1)
            finally:
                os.close(fd)

    def _over(self) -> bool:
        if self.result.stopped is None and self.result.entries_seen > self._plan.max_entries:
            self.result.stopped = f"stopped after {self._plan.max_entries} directory entries"
        if self.result.stopped is None and self._plan.job.late():
            self.result.stopped = f"stopped after {self._plan.job.deadline.seconds:g} s"
        return self.result.stopped is not None and not self.result.stopped.startswith("directories")

    def _scan(self, fd: int, folder: str, position: str, begin: str) -> tuple[Folder, bool]:
        found, telling = self._names(fd)
        self.result.entries_seen += len(found)
        self._plan.job.done += len(found)
        self._plan.job.message = f"{self._plan.job.done} entries seen"
        self._plan.job.check()
        if position == "before":  # what an earlier page had is not looked at again
            found = [dirent for dirent in found if dirent.name >= begin and _is_dir(dirent)]
        elif position == "holds":
            found = [dirent for dirent in found if dirent.name >= begin or _is_dir(dirent)]
        found.sort(key=_NAME)  # no two entries have the same
        entries = _entries(found, f"{folder}/" if folder else "")
        has_ignores = False
        if not self._plan.include_ignored:
            if not telling.isdisjoint(_IGNORE_FILES):
                self._ignores.append(_read_ignores(fd, folder, telling))
                has_ignores = True
            is_asked_for = self._plan.chosen and folder == self._start.rel
            if not is_asked_for and folder and not telling.isdisjoint(_MADE_BY_TOOLS):
                entries = []
            elif not telling.isdisjoint(_NEVER_SOURCE):
                entries = [entry for entry in entries if entry.name not in _NEVER_SOURCE]
        return Folder(folder, fd, self._permitted(entries)), has_ignores

    def _names(self, fd: int) -> tuple[list[os.DirEntry[str]], set[str]]:
        """Return what a directory holds, as far as the limit of entries allows, and the names that tell something."""
        found: list[os.DirEntry[str]] = []
        telling: set[str] = set()
        room = self._plan.max_entries - self.result.entries_seen
        with os.scandir(fd) as scan:
            while part := list(islice(scan, _LOOK_EVERY)):
                self._plan.job.check()
                names = [dirent.name for dirent in part]
                telling |= _TELLING.intersection(names)
                if not "".join(names).isprintable():
                    part = [dirent for dirent in part if nameable(dirent.name)]
                    self.result.unnameable += len(names) - len(part)
                found += part
                if len(found) > room:
                    self.result.stopped = f"stopped after {self._plan.max_entries} directory entries"
                    break
        return found[: max(0, room)], telling

    def _permitted(self, entries: list[DirEntry]) -> list[DirEntry]:
        if not entries:
            return entries
        paths = [entry.judged for entry in entries]
        hidden = self._plan.rules.unreadable(paths)
        self.result.hidden += len(hidden)
        if self._ignores:
            hidden |= ignored(self._strongest(), paths, self._plan.job.check_time)
        return [entry for index, entry in enumerate(entries) if index not in hidden] if hidden else entries

    def _strongest(self) -> Iterator[IgnoreFile]:
        """Sort ignore files, strongest first: any `.ignore` before any `.gitignore`, the deeper before the higher."""
        for which in (1, 0):
            for pair in reversed(self._ignores):
                file = pair[which]
                if file:
                    yield file

    def _position(self, path: str) -> tuple[str, str]:
        """Say where a folder's entries are relative to `after`, and the first name there that still counts.

        They are before it, or past it, or the folder holds it: then its subdirectories come after all its names.
        """
        after = self._plan.after
        if after is None:
            return "past", ""
        folder, holder = _parts(path), after[:-1]
        if folder == holder:
            return "holds", after[-1]
        if folder > holder:
            return "past", ""
        return "before", holder[len(folder)] if holder[: len(folder)] == folder else ""

    def _rest(self, folder: Folder) -> Folder:
        last = self._plan.after[-1] if self._plan.after else ""
        # Subdirectories stay: what is in them comes after every name of this folder.
        return Folder(folder.path, folder.fd, [entry for entry in folder.entries if entry.name > last])


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")) if path else ()


def _is_dir(dirent: os.DirEntry[str]) -> bool:
    try:
        return dirent.is_dir(follow_symlinks=False)
    except OSError:
        return False  # gone since it was listed


def _entries(found: list[os.DirEntry[str]], prefix: str) -> list[DirEntry]:
    """Describe the names in a directory. Nearly all are files, and making a tuple by hand takes half the time."""
    entries: list[DirEntry] = []
    for dirent in found:
        name = dirent.name
        path = prefix + name
        try:
            if dirent.is_file(follow_symlinks=False):
                entries.append(tuple.__new__(DirEntry, (name, path, "file", path, dirent)))
                continue
            kind = "dir" if dirent.is_dir(follow_symlinks=False) else "symlink" if dirent.is_symlink() else "other"
        except OSError:
            kind = "other"  # gone since it was listed
        entries.append(DirEntry(name, path, kind, f"{path}/" if kind == "dir" else path, dirent))
    return entries


def open_regular(name: str, dir_fd: int) -> int:
    """Open a file of a folder for reading, without following a link and without ever blocking. Raises `OSError`."""
    return os.open(name, _FILE_FLAGS, dir_fd=dir_fd)


def _read_ignores(fd: int, path: str, names: set[str]) -> tuple[IgnoreFile | None, IgnoreFile | None]:
    return (
        _read_ignore(fd, path, ".gitignore") if ".gitignore" in names else None,
        _read_ignore(fd, path, ".ignore") if ".ignore" in names else None,
    )


def _read_ignore(dir_fd: int, path: str, name: str) -> IgnoreFile | None:
    try:
        fd = open_regular(name, dir_fd)
    except OSError:
        return None  # a link, or closed to us: git does not follow it either
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = os.read(fd, MAX_IGNORE_BYTES)
    except OSError:
        return None
    finally:
        os.close(fd)
    return IgnoreFile(path, data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))
