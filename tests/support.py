"""Small helpers shared by the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MEMORY = "/dev/shm"
ROOM_BYTES = 1 << 30


def has_room(folder: str) -> bool:
    """Whether there is such a folder, with room for what tests keep, and programs in it may run."""
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC


@contextmanager
def signals_heard(*names: str) -> Iterator[None]:
    """Let what this process starts get these signals, also where nohup or a script's `&` has this process ignore them.

    Every program would inherit that it ignores a signal. It does not inherit a handler, so here is one that does
    nothing: this process goes on ignoring the signal.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, _do_nothing)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: object) -> None:
    """Take a signal."""


def require(present: bool, why: str) -> None:
    """Skip the calling test when a system component is missing; fail instead when `LG_REQUIRE_ALL=1` is set."""
    if present:
        return
    if os.environ.get("LG_REQUIRE_ALL") == "1":
        pytest.fail(f"missing component (LG_REQUIRE_ALL=1): {why}")
    pytest.skip(why)
