"""Keeps the home of a confined program below its limit. No quota of the system can be set without being root.

The size is looked at while the program runs: once a minute, and whenever the file system has lost about as much room as
the home may still take. A program that is over the limit is ended. It is not started again until there is room.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

from lg_gateway.confinement.confinement import Confinement
from lg_gateway.confinement.watching.deleted_files import deleted_size
from lg_policy.errors import SandboxUnavailable
from lg_policy.printing import visible
from lg_policy.sandbox import process_tree
from lg_policy.state import replace_file

SAMPLE_S = 1.0
"""Between two looks at the room of the file system, which cost nothing."""
MEASURE_S = 60.0
"""Between two looks at the home itself, if nothing happens."""
SHARE = 20
"""Of the time that passes, one part in so many is spent with measuring."""
ENTRIES = 2_000_000
"""Files and directories of one home. More count as over the limit: they fill the disk as well."""


def size_of(directory: str) -> int:
    """Return how many bytes of disk a directory takes; a file with several names counts once.

    What cannot be looked into is as large as anything: `OverflowError`. So are too many entries.
    """
    total, seen, waiting, entries = 0, set[tuple[int, int]](), [directory], 0
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                for entry in found:
                    entries += 1
                    if entries > ENTRIES:
                        raise OverflowError(f"it has more than {ENTRIES} entries")
                    total += _taken(entry, seen, waiting)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone meanwhile
        except OSError as error:
            raise OverflowError(f"{visible(place[:300])} cannot be looked into: {error.strerror}") from error
    return total


def _taken(entry: os.DirEntry[str], seen: set[tuple[int, int]], waiting: list[str]) -> int:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    if stat.S_ISDIR(status.st_mode):
        waiting.append(entry.path)
    elif status.st_nlink > 1:
        key = (status.st_dev, status.st_ino)
        if key in seen:
            return 0
        seen.add(key)
    return status.st_blocks * 512


class HomeSize:
    """The limit of one home. Without a home that is kept, there is nothing to watch."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self._home = confinement.private_home
        self._limit = confinement.home_mb << 20
        self._limit_mb = confinement.home_mb
        self._name = confinement.name
        self._mark = f"{self._home}.full"
        self._raise_with = confinement.raise_home_with

    def check_start(self) -> None:
        """Raise `SandboxUnavailable` if the program was ended for its home, and it still is too large. Blocks."""
        if self._home is None or not os.path.exists(self._mark):
            return
        why = self._measured()[1]
        if why:
            raise SandboxUnavailable(
                f"{self._name} was not started: its home {visible(self._home)} {why}",
                hint=f"remove files there, or {self._raise_with}",
            )
        os.unlink(self._mark)

    async def reached(self, inner: int) -> str:
        """Wait until the home is over its limit, and return what to say about it. `inner` is the first process."""
        if self._home is None:
            await asyncio.get_running_loop().create_future()
        home = str(self._home)
        free, left, measured, pause = 0, 0, -MEASURE_S, 0.0
        while True:
            now, room = time.monotonic(), _free(home)
            if now - measured > max(MEASURE_S, pause) or (free - room > left // 2 and now - measured > pause):
                size, why = await anyio.to_thread.run_sync(self._measured, inner)
                if why:
                    with suppress(OSError):  # on a disk that is full; then it is measured again after the next start
                        await anyio.to_thread.run_sync(replace_file, Path(self._mark), b"")
                    return f"its home {visible(home)} {why}; remove files there, or {self._raise_with}"
                free, left, pause = room, self._limit - size, (time.monotonic() - now) * SHARE
                measured = time.monotonic()
            await asyncio.sleep(SAMPLE_S)

    def _measured(self, inner: int = 0) -> tuple[int, str]:
        """Return the size, with what processes hold of deleted files, and what to say if that is too much. Blocks."""
        try:
            size = size_of(str(self._home))
            deleted = deleted_size(self._confinement, process_tree.members(inner)) if inner else 0
        except OverflowError as error:
            return self._limit, f"is over its limit of {self._limit_mb} MB: {error}"
        size += deleted
        if size <= self._limit:
            return size, ""
        held = f", {deleted >> 20} MB of it in deleted files that are still open" if deleted >> 20 else ""
        return size, f"takes {size >> 20} MB{held}, and {self._limit_mb} MB are allowed"


def _free(directory: str) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
