"""Locks a file between processes, with a time limit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ProcessLock:
    """An advisory lock that ends with its holder, also when that is killed. Not for use by two threads at once."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._fd: int | None = None
        self._held = False

    def take(self) -> bool:
        """Take the lock if it is free; return whether it was."""
        self._held = self._held or _try_lock(self._opened())
        return self._held

    def acquire(self) -> None:
        """Take the lock; raises `TimeoutError` when another process keeps it longer than the limit."""
        fd = self._opened()
        deadline = time.monotonic() + self._timeout_s
        pause = 0.0002
        while not _try_lock(fd):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {self._path} for more than {self._timeout_s:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.004)
        self._held = True

    def release(self) -> None:
        """Give the lock back. Does nothing when it is not held."""
        if self._held and self._fd is not None:
            _unlock(self._fd)
        self._held = False

    def close(self) -> None:
        """Give the lock back and close its file."""
        self.release()
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _opened(self) -> int:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        return self._fd

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of the block. Raises `TimeoutError`."""
        self.acquire()
        try:
            yield
        finally:
            self.release()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
