"""Makes several files and directories durable at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

_AT_ONCE = 16
_BATCH = 64


def sync_all(descriptors: Sequence[int]) -> None:
    """Wait until all of them are on the disk. Raises `OSError` if one cannot be written.

    They are synced side by side: a journalling file system writes what waits at the same time in one go, which takes
    a tenth of the time of one after the other.
    """
    if len(descriptors) < 2:
        for descriptor in descriptors:
            os.fsync(descriptor)
        return
    with ThreadPoolExecutor(min(len(descriptors), _AT_ONCE), thread_name_prefix="lg-sync") as pool:
        list(pool.map(os.fsync, descriptors))


def sync_directories(directories: Sequence[Path]) -> None:
    """Make renames and removals in directories durable. Raises `OSError`."""
    with contextlib.ExitStack() as stack:
        descriptors: list[int] = []
        for directory in directories:
            descriptors.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            stack.callback(os.close, descriptors[-1])
        sync_all(descriptors)


class SyncBatch:
    """Descriptors that wait to be made durable together, at most some dozens at a time, and are then closed."""

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self._open: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def add(self, descriptor: int) -> None:
        """Take over a descriptor, and with it the duty to close it. Raises `OSError`."""
        self._open.append(descriptor)
        if len(self._open) >= _BATCH:
            self.sync()

    def sync(self) -> None:
        """Make everything durable that was added so far. Raises `OSError`."""
        if self._durable:
            sync_all(self._open)
        self._release()

    def _release(self) -> None:
        while self._open:
            os.close(self._open.pop())
