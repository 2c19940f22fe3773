"""Processes that have lost their parent. This server gets them, finds them by a mark, ends and reaps them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from lg_policy.sandbox import process_tree

MARKER = "LG_EXEC_CALL"
_PR_SET_CHILD_SUBREAPER = 36


class Orphans:
    """Makes this process the new parent of orphans below it. On other systems than Linux it finds none.

    Use it only where every child of the process is a command of ours, because it reaps all zombies that nobody waits
    for. Raises `OSError` if the system refuses.
    """

    def __init__(self) -> None:
        self._mine: set[int] = set()
        if sys.platform == "linux":
            import ctypes

            if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")

    def expect(self, pid: int) -> None:
        """Remember a child that somebody waits for."""
        self._mine.add(pid)

    def forget(self, pid: int) -> None:
        """Forget a child that was waited for."""
        self._mine.discard(pid)

    def kill(self, marker: str) -> bool | None:
        """End orphans that have the marker in their environment, with their descendants.

        Returns whether there were any, or `None` if that cannot be told of an orphan at this moment.
        """
        orphans = [pid for pid in process_tree.children(os.getpid()) if pid not in self._mine]
        carrying = {pid: process_tree.has_marker(pid, marker) for pid in orphans}
        for pid in [member for orphan in orphans if carrying[orphan] for member in process_tree.members(orphan)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True if any(carrying.values()) else None if None in carrying.values() else False

    def left(self) -> bool:
        """Return whether there are children that nobody else waits for."""
        return any(pid not in self._mine for pid in process_tree.children(os.getpid()))

    def reap(self) -> None:
        """Collect ended orphans."""
        for pid in process_tree.children(os.getpid()):
            if pid not in self._mine:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
