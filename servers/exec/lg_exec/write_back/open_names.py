"""Opens names below a root by descriptor: no link on the way is ever followed, whatever the name contains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from lg_exec.write_back.snapshot import stamp

_DIR = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


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


@contextlib.contextmanager
def place(root_fd: int, rel: str) -> Iterator[Place]:
    """Open the directory that holds the last part of `rel`. Raises `OSError`."""
    *above, name = rel.split("/")
    directory = os.dup(root_fd)
    try:
        for part in above:
            inner = os.open(part, _DIR, dir_fd=directory)
            os.close(directory)
            directory = inner
        yield Place(directory, name)
    finally:
        os.close(directory)
