"""What the official conformance suite finds right with a server, it also finds right through the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance.comparison import PAGE, Comparison, compare, expected_failures, table, with_table, without_stale
from conformance.suite import Check, CheckId, SuiteFailed, count, install, installed, lost, read

from tests.support import require

pytestmark = pytest.mark.timeout(600)
SCENARIO = CheckId("ping", "ping")


def test_every_check_that_passes_direct_passes_through_the_gateway(tmp_path: Path) -> None:
    """One test, because the suite takes half a minute, and tests that share it may run in several processes."""
    try:
        install(tmp_path)
        suite = installed(tmp_path)
    except SuiteFailed as why:
        require(False, f"the conformance suite: {why}")
    comparisons, expected, page = compare(suite, tmp_path / "runs"), expected_failures(), PAGE.read_text("utf-8")

    failed = {str(name): check for found in comparisons for name, check in found.direct.items() if not check.passed}
    assert not {name: check for name, check in failed.items() if check.status == "FAILURE"}
    assert [count(found.direct.values())[0] for found in comparisons] == [81, 152]
    for found in comparisons:
        lost_checks = found.unexpected(expected.get(found.revision, {}))
        assert not {str(name): f"{check.status} {check.message[:200]}" for name, check in lost_checks.items()}
    stale = [check for found in comparisons for check in found.stale(expected.get(found.revision, {}))]
    assert not stale, "run: python -m conformance.run --write"
    assert page == with_table(page, table(comparisons, expected)), "run: python -m conformance.run --write"


def test_a_check_is_lost_when_it_fails_or_is_missing_on_the_way() -> None:
    passed, failed = Check("SUCCESS"), Check("FAILURE")

    assert lost({SCENARIO: passed}, {SCENARIO: passed}) == {}
    assert list(lost({SCENARIO: passed}, {SCENARIO: failed})) == [SCENARIO]
    assert list(lost({SCENARIO: passed}, {})) == [SCENARIO]
    assert lost({SCENARIO: failed}, {}) == {}


def test_an_expected_failure_that_passes_is_reported() -> None:
    found = Comparison("2025-11-25", {SCENARIO: Check("SUCCESS")}, {SCENARIO: Check("SUCCESS")})

    assert found.stale({"ping/ping": "once failed"}) == ["ping/ping"]
    assert not found.unexpected({})


def test_only_expected_failures_that_pass_are_dropped_from_the_file() -> None:
    text = '# why\n\n["a"]\n"x/y" = "1"\n"x/y#2" = "2"\n\n["b"]\n"x/y" = "3"\n'

    assert without_stale(text, {"a": ["x/y"]}) == '# why\n\n["a"]\n"x/y#2" = "2"\n\n["b"]\n"x/y" = "3"\n'


def test_each_expected_failure_has_a_reason() -> None:
    assert all(reason.strip() for rows in expected_failures().values() for reason in rows.values())


def test_checks_of_a_scenario_are_read_with_their_number(tmp_path: Path) -> None:
    folder = tmp_path / "server-tools-list-2026-11-29T20-13-29-060Z"
    folder.mkdir()
    folder.joinpath("checks.json").write_text(
        '[{"id": "a", "status": "SUCCESS"}, {"id": "a", "status": "FAILURE", "errorMessage": "no"}]'
    )

    assert read(tmp_path) == {
        CheckId("tools-list", "a"): Check("SUCCESS"),
        CheckId("tools-list", "a", 1): Check("FAILURE", "no"),
    }
