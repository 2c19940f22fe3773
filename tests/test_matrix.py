"""What servers and clients can say to each other gets through the gateway, whatever their eras and transports."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance.matrix import COMBINATIONS, Combination, probe

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.usefixtures("programs_by_fork")]
EXPECTED = {
    "tool_fields": "listed schemas are simplified, because model providers refuse some keywords",
    "schema_2020": "listed schemas are simplified, because model providers refuse some keywords",
}


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
async def test_everything_gets_through_between_any_two_eras_and_transports(
    tmp_path: Path, combination: Combination
) -> None:
    found = await probe(combination, tmp_path)

    assert {name: seen for name, (verdict, seen) in found.items() if verdict == "no"} == {}
    assert {name for name, (verdict, _) in found.items() if verdict == "partial"} <= EXPECTED.keys()
