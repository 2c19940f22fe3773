"""Opens names below a root by descriptor: no link on the way is ever followed, whatever the name contains."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

_DIR = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
DIRECTORY = 0
"""The stamp of a directory: it may gain and lose names meanwhile."""


def stamp(found: os.stat_result) -> int:
    """Return one number for the state of a file; `DIRECTORY` for each directory."""
    if stat.S_ISDIR(found.st_mode):
        return DIRECTORY
    return hash((found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)) or 1


class Place:
    """A name in an open directory."""

    def __init__(self, directory: int, name: str) -> None:
        self.directory = directory
        self.name = name

    def stamp(self) -> int | None:
        """Return the stamp of what is there now, as in a snapshot; `None` if nothing is."""
        try:
            return stamp(os.stat(self.name, dir_fd=self.directory, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def content(self) -> str:
        """Return what tells the content apart from others, wherever it is moved to: inode, size and time of change."""
        try:
            found = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


@contextlib.contextmanager
def place(root_fd: int, rel: str) -> Iterator[Place]:
    """Open the directory that holds the last part of `rel`. Raises `OSError`."""
    above, _, name = rel.rpartition("/")
    directory = open_directory(root_fd, above)
    try:
        yield Place(directory, name)
    finally:
        os.close(directory)


def open_directory(root_fd: int, rel: str) -> int:
    """Open a directory below a root, or for "" the root itself; the caller closes it. Raises `OSError`."""
    directory = os.open(".", _DIR, dir_fd=root_fd)
    try:
        for part in rel.split("/") if rel else ():
            inner = os.open(part, _DIR, dir_fd=directory)
            os.close(directory)
            directory = inner
    except BaseException:
        os.close(directory)
        raise
    return directory
