"""How much a command has written to storage that is thrown away: private directories, and the overlay of the root.

File systems in memory are asked through descriptors, which still answer when the sandbox has ended. A directory on disk
has no size of its own, so its files are added up from time to time: the longer that takes, the less often. Such are the
overlay of `root = "rw"`, and the private directory without a sandbox.

Not covered: while it runs, a command can hide files from the count in a directory that it has closed to its own user.
"""

from __future__ import annotations

import errno
import os
import sys
import time

_BLOCK = 4096
_BUSY_SHARE = 20  # adding up takes at most one part in so many of the time


class Storage:
    """The storage of one command. `places` are mount points inside; `upper` is a directory outside."""

    def __init__(self, places: tuple[str, ...], upper: str | None) -> None:
        self._waiting = list(places)
        self._fds: list[int] = []
        self._upper = upper
        self._upper_bytes = 0
        self._next_count = 0.0

    def look(self, inside: str) -> None:
        """Open what has been mounted meanwhile. `inside` is the root directory of the sandbox, as `/proc/N/root`."""
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

    def exceeds(self, limit_bytes: int, *, count_now: bool = False) -> bool:
        """Return whether one of the places is full. With `count_now`, the files are added up in any case."""
        if self._upper is not None and (count_now or time.monotonic() >= self._next_count):
            begun = time.monotonic()
            self._upper_bytes = _size(self._upper, limit_bytes)
            self._next_count = begun + (time.monotonic() - begun) * _BUSY_SHARE
        return self._upper_bytes > limit_bytes or any(_is_full(fd, limit_bytes) for fd in self._fds)

    def close(self) -> None:
        """Close the descriptors, and so release the storage."""
        while self._fds:
            os.close(self._fds.pop())


def _is_hosts(fd: int, place: str) -> bool:
    try:
        return os.fstat(fd).st_dev == os.stat(place).st_dev
    except OSError:
        return False


def _is_full(fd: int, limit_bytes: int) -> bool:
    """Return whether a file system in memory is full. An empty file counts as a block: it takes memory too."""
    found = os.fstatvfs(fd)
    used = max((found.f_blocks - found.f_bfree) * found.f_frsize, (found.f_files - found.f_ffree) * _BLOCK)
    return found.f_bfree == 0 or used > limit_bytes


def _size(directory: str, limit_bytes: int) -> int:
    """Add up what is below a directory, and stop when it is more than the limit.

    Of a sparse file its whole length counts, because it may be copied by something that knows no holes. An empty file
    or a directory counts as one block, or a flood of them would count nothing. A tree that is too deep to be named
    is over every limit.
    """
    total = 0
    waiting = [directory]
    while waiting and total <= limit_bytes:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        total += _BLOCK
                    else:
                        total += _bytes(entry.stat(follow_symlinks=False))
                    if total > limit_bytes:
                        break
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return limit_bytes + 1
            continue  # removed meanwhile, or closed by the command to its own user
    return total


def _bytes(found: os.stat_result) -> int:
    return max(_BLOCK, found.st_size, 0 if sys.platform == "win32" else found.st_blocks * 512)
