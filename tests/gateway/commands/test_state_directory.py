"""A state directory that is named and not there: looked for in vain, or made and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_gateway.cli import main
from lg_orch.cli import main as orch
from lg_policy.state import open_state

LOOKING = (
    "audit list",
    "approvals list",
    "approvals watch",
    "status",
    "pins list",
    "rules list",
    "tokens list",
    "halt",
)


@pytest.mark.parametrize("words", LOOKING)
def test_a_command_that_looks_into_a_state_directory_says_that_it_is_not_there_and_makes_none(
    tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mistyped = tmp_path / "stat"
    assert main([*words.split(), "--state-dir", str(mistyped)]) == 2
    assert f"there is no state directory {mistyped}" in capsys.readouterr().err
    assert not mistyped.exists()


@pytest.mark.parametrize("words", ["runs list", "runs list --all", "runs show last", "resume last", "undo last"])
def test_so_does_a_command_that_looks_for_runs(
    tmp_path: Path, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistyped = tmp_path / "stat"
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path / "root")
    assert orch([*words.split(), "--state-dir", str(mistyped)]) == 2
    assert f"there is no state directory {mistyped}" in capsys.readouterr().err
    assert not mistyped.exists()


def test_a_state_directory_that_is_made_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "root").mkdir()
    for _ in range(2):
        open_state(root=tmp_path / "root", explicit=tmp_path / "new")
    assert caplog.messages == [f"made the state directory '{tmp_path}/new', which was not there"]
