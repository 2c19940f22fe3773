"""Writes new contents under temporary names beside the files that they replace."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Self

from lg_policy.changes.durable import SyncBatch
from lg_policy.paths.root import Opened


def temporary_name(change_id: str, number: int) -> str:
    """Return the name under which file `number` of a change set is staged. It is unguessable: change ids are random."""
    return f".lg-{change_id}-{number}.tmp"


class Staging:
    """Writes new files and makes them durable together."""

    def __init__(self, *, durable: bool) -> None:
        self._batch = SyncBatch(durable=durable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batch.__exit__(kind, error, trace)

    def write(self, parent: Opened, name: str, data: bytes, mode: int) -> None:
        """Write a new file, which must not exist, with exactly these permissions. Raises `OSError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent.fd)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fchmod(fd, stat.S_IMODE(mode))
        except BaseException:
            os.close(fd)
            raise
        self._batch.add(fd)

    def link(self, parent: Opened, name: str, target: bytes) -> None:
        """Make a symbolic link, whose name must not exist. Raises `OSError`."""
        os.symlink(os.fsdecode(target), name, dir_fd=parent.fd)

    def sync(self) -> None:
        """Make everything written so far durable. Raises `OSError`."""
        self._batch.sync()
