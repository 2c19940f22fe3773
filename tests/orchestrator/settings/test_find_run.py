from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lg_orch.cli import arguments, main
from lg_orch.runs.run_directory import RUN_ID, RunDir, all_runs, new_run
from lg_orch.settings.find_run import everywhere, find
from lg_policy.errors import ConfigError
from lg_policy.state import open_state


def make_run(root: Path, run_id: str) -> RunDir:
    root.mkdir(exist_ok=True)
    path = open_state(root=root).path / "runs" / run_id
    path.mkdir(parents=True)
    return RunDir(path=path, run_id=run_id)


def looked_for(given: str, *flags: str) -> str:
    return find(given, arguments(["replay", given, *flags])).run.run_id


ONE, TWO, THREE = "20260101T000000-aaaaaa", "20260101T000000-bbbbbb", "20260202T000000-aaaaaa"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two repositories with runs; the current directory is neither."""
    make_run(tmp_path / "a", ONE)
    make_run(tmp_path / "b", TWO)
    make_run(tmp_path / "b", THREE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_a_run_is_found_from_any_directory_by_as_much_of_its_id_as_is_unique(runs: Path) -> None:
    assert looked_for(ONE) == ONE
    assert looked_for("202602") == THREE
    assert looked_for("20260101T000000-b") == TWO
    assert looked_for("bbbbbb") == TWO
    assert looked_for(f"run-{TWO}.json") == TWO, "as the exported trace's file is named"
    found = find(TWO, arguments(["replay", TWO]))
    assert found.root == runs / "b"


def test_an_ambiguous_beginning_is_an_error_that_lists_what_fits_and_where(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "20260101"]) == 2
    said = capsys.readouterr().err
    assert "2 runs fit" in said
    assert f"{ONE}  {runs / 'a'}" in said
    assert f"{TWO}  {runs / 'b'}" in said


def test_of_runs_begun_in_one_second_the_last_is_the_newest(tmp_path: Path) -> None:
    begun = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    made = [new_run(tmp_path, begun + timedelta(milliseconds=part)) for part in (0, 7, 8, 310, 999, 1000)]
    assert list(all_runs(tmp_path)) == made[::-1]
    assert all(RUN_ID.fullmatch(run.run_id) for run in made)


def test_runs_begun_at_the_same_moment_never_share_a_directory(tmp_path: Path) -> None:
    begun = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    assert len({new_run(tmp_path, begun).path for _ in range(300)}) == 300


def test_a_root_narrows_the_search(runs: Path) -> None:
    assert looked_for("20260101", "--repo-root", str(runs / "b")) == TWO
    with pytest.raises(ConfigError, match=re.escape(f"works on {runs / 'a'}, not on {runs / 'b'}")):
        looked_for(ONE, "--repo-root", str(runs / "b"))


@pytest.mark.parametrize("given", ["../../etc", "", "2", "zzzzzz", ONE + "/..", "20260303"])
def test_what_is_no_run_is_said_and_nothing_outside_is_looked_at(runs: Path, given: str) -> None:
    args = arguments(["replay", "x", "--repo-root", str(runs / "a")])
    with pytest.raises(ConfigError, match=r"is not a run id|there is no run"):
        find(given, args)


def test_last_is_the_newest_run_of_the_repository_here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs / "b")
    assert looked_for("last") == THREE
    monkeypatch.chdir(runs / "elsewhere")
    with pytest.raises(ConfigError, match="there is no run in"):
        looked_for("last")


def test_a_state_directory_of_ones_own_is_the_only_place_that_is_looked_at(runs: Path, tmp_path: Path) -> None:
    own = new_run(tmp_path / "own")
    args = arguments(["replay", "x", "--state-dir", str(tmp_path / "own")])
    assert [found.run.run_id for found in everywhere(args)] == [own.run_id]
    with pytest.raises(ConfigError, match="there is no run"):
        find(ONE, args)
