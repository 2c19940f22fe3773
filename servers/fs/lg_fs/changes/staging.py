"""Writes new contents under temporary names beside the files that they replace."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import Self

from lg_fs.changes.durable import sync_all
from lg_policy.paths.root import Opened

_BATCH = 64


def temporary_name(change_id: str, number: int) -> str:
    """Return the name under which file `number` of a change set is staged. It is unguessable: change ids are random."""
    return f".lg-{change_id}-{number}.tmp"


class Staging:
    """Writes new files and makes them durable together."""

    def __init__(self, *, durable: bool) -> None:
        self._durable = durable
        self._open: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def write(self, parent: Opened, name: str, data: bytes, mode: int) -> None:
        """Write a new file, which must not exist, with exactly these permissions. Raises `OSError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent.fd)
        self._open.append(fd)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fchmod(fd, stat.S_IMODE(mode))
        if len(self._open) >= _BATCH:
            self.sync()

    def sync(self) -> None:
        """Make everything written so far durable. Raises `OSError`."""
        if self._durable:
            sync_all(self._open)
        self._release()

    def _release(self) -> None:
        while self._open:
            os.close(self._open.pop())
