"""Records the state of all files below the root when a command begins. Later differences are other programs' changes.

A file counts as changed when its inode, mode, size, modification time or change time differs. Not covered: a change
within the same tick of the kernel's clock (some milliseconds) as an earlier one, which leaves all five as they were.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Collection

from lg_exec.process.worker_thread import Work
from lg_policy.changes.interrupted import STAGING
from lg_policy.changes.open_names import DIRECTORY, stamp
from lg_policy.errors import LimitExceeded

MAX_ENTRIES = 500_000
"""Files and directories below a root that is compared; a larger one cannot be used with `root = "rw"`."""
_CHECK_EVERY = 256
_AFTER = chr(ord("/") + 1)


class Snapshot:
    """The stamps of everything below a root, by name. Directories in `skip` cannot be changed and are not entered."""

    def __init__(self, root_fd: int, skip: Collection[str], work: Work) -> None:
        self._stamps: dict[str, int] = {}
        self._sorted: list[str] | None = None
        waiting = [""]
        while waiting:
            work.check()
            rel = waiting.pop()
            try:
                directory = os.open(rel or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root_fd)
            except OSError:
                continue  # gone meanwhile, or closed to this user
            try:
                waiting += self._look_into(directory, rel, skip, work)
            finally:
                os.close(directory)

    def _look_into(self, directory: int, rel: str, skip: Collection[str], work: Work) -> list[str]:
        below = []
        with os.scandir(directory) as entries:
            for number, entry in enumerate(entries):
                if number % _CHECK_EVERY == 0:
                    work.check()
                name = f"{rel}/{entry.name}" if rel else entry.name
                if name in skip or name.startswith(STAGING):
                    continue
                try:
                    self._stamps[name] = stamp(entry.stat(follow_symlinks=False))
                except OSError:
                    continue  # gone meanwhile
                if self._stamps[name] == DIRECTORY:
                    below.append(name)
        if len(self._stamps) > MAX_ENTRIES:
            raise LimitExceeded(
                f'more than {MAX_ENTRIES} files are below the root, too many to compare for root = "rw"',
                hint='choose a smaller root, or root = "overlay"',
            )
        return below

    def get(self, rel: str) -> int | None:
        """Return the stamp of a name; `None` if it was not there."""
        return self._stamps.get(rel)

    def below(self, rel: str) -> list[str]:
        """Return the names that were below a directory, each directory before what was in it."""
        if self._sorted is None:
            self._sorted = sorted(self._stamps)
        first, end = bisect.bisect_left(self._sorted, f"{rel}/"), bisect.bisect_left(self._sorted, f"{rel}{_AFTER}")
        return self._sorted[first:end]
