"""The servers of these tests, started by a fork where a test is not about their start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.forked import by_fork
from tests.policy.wire.programs import forked_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fork_server import ForkServer


@pytest.fixture(scope="module")
def servers_by_fork(fork_server: ForkServer | None) -> Iterator[None]:
    """Each is a fork of the process that has imported the SDK and nothing open."""
    if fork_server is None:
        yield
        return
    with by_fork(forked_server, fork_server):
        yield
