"""What the tests of runs share is mended after a test that stalled, so that the next one does not fail as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processes import Stalled

if TYPE_CHECKING:
    from tests.orchestrator.stage import Place


def test_a_run_that_stalls_says_where_and_the_next_one_succeeds(place: Place) -> None:
    before = place.gateway
    place.victim("before").write_text("exec sleep 600")
    with pytest.raises(Stalled) as stalled:
        place.begin(within=5)
    place.reset()
    assert "lg_orch/cli.py" in str(stalled.value)
    assert "lg_gateway" in "".join(stalled.value.__notes__)
    assert place.gateway != before
    place.assert_as_if_nothing_had_happened(place.begin())


def test_a_gateway_that_was_killed_is_replaced(place: Place) -> None:
    gateway = place.shared_gateway.get()
    gateway.process.kill()
    gateway.process.wait()
    place.assert_as_if_nothing_had_happened(place.begin())
