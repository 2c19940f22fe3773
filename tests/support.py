"""Small helpers shared by the tests."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


def descriptors() -> set[str]:
    """The open files of this process, each by its number and what it is. What nobody holds any more is closed first."""
    gc.collect()
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def growing(first_s: float, most_s: float = 60.0) -> Iterator[float]:
    """Time limits, each longer than the one before, for a test of which a part must end in time and the rest must not.

    The test ends at the first that was long enough, so that it holds on a machine of any speed.
    """
    while first_s < most_s:
        yield first_s
        first_s *= 3
    yield most_s


def _do_nothing(_number: int, _frame: object) -> None:
    """Take a signal."""


def require(present: bool, why: str) -> None:
    """Skip the calling test when a system component is missing; fail instead when `LG_REQUIRE_ALL=1` is set."""
    if present:
        return
    if os.environ.get("LG_REQUIRE_ALL") == "1":
        pytest.fail(f"missing component (LG_REQUIRE_ALL=1): {why}")
    pytest.skip(why)
