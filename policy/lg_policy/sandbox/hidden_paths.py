"""Which names below the root a sandboxed command may not see or not change. They are looked up before each call.

Sockets and pipes are hidden whatever their name, because a program outside the sandbox is behind them.

The entries of a directory are remembered as long as its change time stays the same. A program cannot set that time, so
a large tree costs one `stat` per directory.

Not covered: a second hard link to a hidden file, under another name; the content of a hidden file in the history of
git; directories that are not looked into.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lg_policy.errors import LimitExceeded
from lg_policy.paths.globs import GlobSet

MAX_DIRECTORIES = 200_000
MAX_NAMES = 200_000
"""Names to hide or protect below one root. Above it the root is refused."""
_DIR, _FILE, _SPECIAL = "directory", "file", "special"
_SETTLED_NS = 2_000_000_000  # a directory that changed this recently may change again in the same tick of the clock


@dataclass(frozen=True, kw_only=True)
class Masks:
    """Names relative to the root. Those in `protected` are shown, but read-only."""

    hidden_files: tuple[str, ...]
    hidden_dirs: tuple[str, ...]
    protected: tuple[str, ...]


class Stoppable(Protocol):
    """Work that can be told to stop."""

    def check(self) -> None:
        """Raise if the work should end; called in every loop."""


class _Unstoppable:
    """Work that goes on to its end."""

    def check(self) -> None:
        pass


NO_MASKS = Masks(hidden_files=(), hidden_dirs=(), protected=())


@dataclass(frozen=True, kw_only=True)
class _Directory:
    """What matters in one directory."""

    stamp: tuple[int, int, int]
    hidden_files: tuple[str, ...]
    hidden_dirs: tuple[str, ...]
    protected: tuple[str, ...]
    below: tuple[str, ...]


class MaskFinder:
    """Finds the names that match the deny lists. Several threads may ask at once.

    `judged_as` is put in front of the names before they are judged: `.git` for a git directory that stands elsewhere.
    """

    def __init__(self, root: str, *, hide: Sequence[str], protect: Sequence[str], judged_as: str = "") -> None:
        self._root = root
        self._prefix = f"{judged_as}/" if judged_as else ""
        self._lock = threading.Lock()
        self._hide = GlobSet(hide)
        self._protect = GlobSet(protect)
        self._known: dict[str, _Directory] = {}

    def find(self, skip: Collection[str] = (), work: Stoppable | None = None) -> Masks:
        """Walk the tree, but not into the directories in `skip`. Raises `LimitExceeded` if the tree is too large."""
        work = work or _Unstoppable()
        with self._lock:
            return self._find(skip, work)

    def _find(self, skip: Collection[str], work: Stoppable) -> Masks:
        files: list[str] = []
        dirs: list[str] = []
        protected: list[str] = []
        seen: dict[str, _Directory] = {}
        waiting = [("", False)]
        while waiting:
            work.check()
            rel, inside = waiting.pop()
            if len(seen) > MAX_DIRECTORIES:
                raise LimitExceeded(
                    f"more than {MAX_DIRECTORIES} directories are below the root", hint="choose a smaller root"
                )
            found = self._directory(rel)
            if found is None:
                continue
            seen[rel] = found
            files += found.hidden_files
            dirs += found.hidden_dirs
            # A protected directory protects what is in it; what is hidden in there still needs hiding.
            protected += () if inside else found.protected
            waiting += [(name, inside or name in found.protected) for name in found.below if name not in skip]
            if len(files) + len(dirs) + len(protected) > MAX_NAMES:
                raise LimitExceeded(
                    f"more than {MAX_NAMES} names below the root match read_deny or write_deny",
                    hint="choose a smaller root, or patterns that match a directory as a whole",
                )
        self._known = seen
        return Masks(hidden_files=tuple(files), hidden_dirs=tuple(dirs), protected=tuple(protected))

    def _directory(self, rel: str) -> _Directory | None:
        path = os.path.join(self._root, rel)
        try:
            status = os.stat(path, follow_symlinks=False)
            stamp = (status.st_dev, status.st_ino, status.st_ctime_ns)
            known = self._known.get(rel)
            if known is not None and known.stamp == stamp and time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
                return known
            entries = list(self._entries(path, rel))
        except OSError:
            return None  # gone meanwhile, or closed to this user, and so to the command
        hidden = [(name, kind) for name, kind in entries if kind == _SPECIAL or self._hides(name, kind)]
        hidden_names = {name for name, _ in hidden}
        protected = {
            name
            for name, kind in entries
            if name not in hidden_names and self._protect.match(self._prefix + name, is_dir=kind == _DIR)
        }
        return _Directory(
            stamp=stamp,
            hidden_files=tuple(name for name, kind in hidden if kind != _DIR),
            hidden_dirs=tuple(name for name, kind in hidden if kind == _DIR),
            protected=tuple(sorted(protected)),
            below=tuple(name for name, kind in entries if kind == _DIR and name not in hidden_names),
        )

    def _hides(self, name: str, kind: str) -> bool:
        return self._hide.match(self._prefix + name, is_dir=kind == _DIR)

    def _entries(self, path: str, rel: str) -> Iterator[tuple[str, str]]:
        prefix = f"{rel}/" if rel else ""
        with os.scandir(path) as entries:
            for entry in entries:
                # A link cannot be mounted over; what it leads to is judged under its own name.
                if not entry.is_symlink():
                    yield prefix + entry.name, _kind(entry)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return _DIR
    return _FILE if entry.is_file(follow_symlinks=False) else _SPECIAL
