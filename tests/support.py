"""Small helpers shared by the tests."""

from __future__ import annotations

import os

import pytest


def require(present: bool, why: str) -> None:
    """Skip the calling test when a system component is missing; fail instead when `LG_REQUIRE_ALL=1` is set."""
    if present:
        return
    if os.environ.get("LG_REQUIRE_ALL") == "1":
        pytest.fail(f"missing component (LG_REQUIRE_ALL=1): {why}")
    pytest.skip(why)
