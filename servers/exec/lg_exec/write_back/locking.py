"""The locks under which a root is changed.

All are files in state directories: a command in a sandbox reaches the root, and could lock that, but not these.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lg_exec.process.worker_thread import Work

_POLL_S = 0.01


@contextlib.contextmanager
def locked(paths: list[Path], work: Work) -> Iterator[None]:
    """Hold the locks, in the order given. Raises `CallTimeout`, and `OSError` for a file that cannot be made."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            _wait(descriptor, work)
        yield


def _wait(descriptor: int, work: Work) -> None:
    import fcntl  # not on Windows, where there is no `root = "rw"`

    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            work.wait(_POLL_S)
        else:
            return
