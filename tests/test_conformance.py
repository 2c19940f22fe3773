"""What the official conformance suite finds right with a server, it also finds right through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.comparison import PAGE, Comparison, compare, expected_failures, table, with_table, without_stale
from conformance.suite import Check, CheckId, SuiteFailed, count, install, installed, lost, read

from tests.support import require

pytestmark = pytest.mark.timeout(600)
SCENARIO = CheckId("ping", "ping")


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Comparison]]:
    target = tmp_path_factory.mktemp("suite")
    try:
        install(target)
        suite = installed(target)
    except SuiteFailed as why:
        require(False, f"the conformance suite: {why}")
    yield compare(suite, tmp_path_factory.mktemp("runs"))


def test_the_fixture_passes_every_check_of_the_official_suite(comparisons: list[Comparison]) -> None:
    failed = {str(name): check for found in comparisons for name, check in found.direct.items() if not check.passed}
    passed = [count(found.direct.values())[0] for found in comparisons]

    assert not {name: check for name, check in failed.items() if check.status == "FAILURE"}
    assert passed == [81, 152]


def test_every_check_that_passes_direct_passes_through_the_gateway(comparisons: list[Comparison]) -> None:
    expected = expected_failures()
    unexpected = {
        found.revision: {str(name): f"{check.status} {check.message[:200]}" for name, check in checks.items()}
        for found in comparisons
        if (checks := found.unexpected(expected.get(found.revision, {})))
    }

    assert not unexpected


def test_no_check_is_expected_to_fail_that_passes(comparisons: list[Comparison]) -> None:
    expected = expected_failures()

    stale = [check for found in comparisons for check in found.stale(expected.get(found.revision, {}))]
    assert not stale, "run: python -m conformance.run --write"


def test_the_page_shows_what_the_suite_finds(comparisons: list[Comparison]) -> None:
    page = PAGE.read_text("utf-8")

    assert page == with_table(page, table(comparisons, expected_failures())), "run: python -m conformance.run --write"


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
