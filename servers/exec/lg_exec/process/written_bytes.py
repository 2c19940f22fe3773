"""How much a command has written to its throw-away storage: private directories, and what overlays the root.

Memory file systems are asked through descriptors, which still answer when the sandbox has ended. A directory on disk
(the overlay of `root = "rw"`, the private one without a sandbox) has no size of its own: its files are added up from
time to time, the seldomer the longer that takes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

_BUSY_SHARE = 20  # adding up takes at most one part in so many of the time


class Storage:
    """The storage of one command. `places` are mount points inside; `upper` is a directory of the host."""

    def __init__(self, places: tuple[str, ...], upper: str | None) -> None:
        self._waiting = list(places)
        self._fds: list[int] = []
        self._upper = upper
        self._upper_bytes = 0
        self._next_count = 0.0

    def look(self, inside: str) -> None:
        """Open what has been mounted meanwhile; `inside` is the sandbox's root directory, as `/proc/N/root`."""
        for place in list(self._waiting):
            try:
                fd = os.open(inside + place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue  # not there yet, or the command has ended
            if _is_hosts(fd, place):
                os.close(fd)  # nothing is mounted there yet
                continue
            self._fds.append(fd)
            self._waiting.remove(place)

    def exceeds(self, limit_bytes: int) -> bool:
        """Whether one of the places holds as much as it may."""
        if self._upper is not None and time.monotonic() >= self._next_count:
            begun = time.monotonic()
            self._upper_bytes = sum(_sizes(self._upper))
            self._next_count = begun + (time.monotonic() - begun) * _BUSY_SHARE
        return self._upper_bytes > limit_bytes or any(_is_full(fd, limit_bytes) for fd in self._fds)

    def close(self) -> None:
        """Release the descriptors, and with them the storage."""
        while self._fds:
            os.close(self._fds.pop())


def _is_hosts(fd: int, place: str) -> bool:
    try:
        return os.fstat(fd).st_dev == os.stat(place).st_dev
    except OSError:
        return False


def _is_full(fd: int, limit_bytes: int) -> bool:
    found = os.fstatvfs(fd)
    return found.f_bfree == 0 or (found.f_blocks - found.f_bfree) * found.f_frsize > limit_bytes


def _sizes(directory: str) -> Iterator[int]:
    waiting = [directory]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        found = entry.stat(follow_symlinks=False)
                        yield found.st_size if sys.platform == "win32" else found.st_blocks * 512
        except OSError:
            continue  # removed meanwhile, or closed by the command to its own user
