"""Small helpers shared by the tests."""

from __future__ import annotations

import os

import pytest

MEMORY = "/dev/shm"
ROOM_BYTES = 1 << 30


def has_room(folder: str) -> bool:
    """Whether there is such a folder, with room for what tests keep, and programs in it may run."""
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC


def require(present: bool, why: str) -> None:
    """Skip the calling test when a system component is missing; fail instead when `LG_REQUIRE_ALL=1` is set."""
    if present:
        return
    if os.environ.get("LG_REQUIRE_ALL") == "1":
        pytest.fail(f"missing component (LG_REQUIRE_ALL=1): {why}")
    pytest.skip(why)
