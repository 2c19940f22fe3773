"""Carrying what a command wrote into an overlay over into the real root: only what the write rules allow.

This is how `root = "rw"` works: the command never writes to the root itself, so a protected name stays as it is, also
when it was missing or a directory above it was renamed, and a command that is ended by a limit changes nothing.

Not covered: ownership, extended attributes and hard links are lost; devices, FIFOs and sockets are not carried.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator

from lg_policy.errors import LgError, NotFound
from lg_policy.paths.globs import FileRules
from lg_policy.paths.root import Root, write_atomic

_OPAQUE = "user.overlay.opaque"


class Carrier:
    """Applies the upper layer of an overlay to a root."""

    def __init__(self, root: Root, rules: FileRules) -> None:
        self._root = root
        self._rules = rules

    def apply(self, upper: str) -> tuple[str, ...]:
        """Carry over every allowed change; returns their names, those refused marked `(not kept: …)`."""
        done: list[str] = []
        for rel in self._walk(upper, ""):
            why = self._rules.why_not_write(rel)
            if why is None:
                with contextlib.suppress(NotFound):
                    done += self._one(f"{upper}/{rel}", rel)
            else:
                done.append(f"{rel} (not kept: {why})")
        return tuple(sorted(done))

    def _walk(self, upper: str, rel: str) -> Iterator[str]:
        """Names of what was written, directories before their content, without those that only lead there."""
        with os.scandir(f"{upper}/{rel}" if rel else upper) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            name = f"{rel}/{entry.name}" if rel else entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield name
                continue
            if self._is_new(entry.path, name):
                yield name
            yield from self._walk(upper, name)

    def _is_new(self, path: str, rel: str) -> bool:
        if _opaque(path):
            return True
        try:
            self._root.open_dir(rel, follow=False).close()
        except LgError:
            return True
        return False

    def _one(self, source: str, rel: str) -> list[str]:
        status = os.lstat(source)
        mode = status.st_mode
        if stat.S_ISCHR(mode) and status.st_rdev == 0:
            return [rel] if self._remove(rel) else []
        if stat.S_ISDIR(mode):
            if _opaque(source):
                self._remove(rel)
            self._root.make_dirs(rel, follow=False)
            return []
        if stat.S_ISLNK(mode):
            self._remove(rel)
            parent, name = self._root.open_parent(rel, follow=False)
            with parent:
                os.symlink(os.readlink(source), name, dir_fd=parent.fd)
            return [rel]
        if stat.S_ISREG(mode):
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                write_atomic(self._root, rel, file.read(), mode=stat.S_IMODE(mode) & 0o777)
            return [rel]
        return [f"{rel} (not kept: neither file, directory nor link)"]

    def _remove(self, rel: str) -> bool:
        """Remove a file, or a directory with all that may be removed from it; whether something went."""
        parent, name = self._root.open_parent(rel, follow=False)
        with parent:
            try:
                os.unlink(name, dir_fd=parent.fd)
            except FileNotFoundError:
                return False
            except (IsADirectoryError, PermissionError):
                self._empty(rel)
                with contextlib.suppress(OSError):  # something protected is left in it
                    os.rmdir(name, dir_fd=parent.fd)
        return True

    def _empty(self, rel: str) -> None:
        with self._root.open_dir(rel, follow=False) as opened, os.scandir(opened.fd) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            if self._rules.why_not_write(f"{rel}/{name}") is None:
                self._remove(f"{rel}/{name}")


def remove_tree(path: str) -> None:
    """Remove a scratch directory, also what a command made unreadable in it. What cannot be removed is left."""
    for place, dirs, _ in os.walk(path):
        for name in dirs:
            inner = os.path.join(place, name)
            if not os.path.islink(inner):
                with contextlib.suppress(OSError):
                    os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _opaque(path: str) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
