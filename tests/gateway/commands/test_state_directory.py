"""A state directory that is named and not there: looked for in vain, or made and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_gateway.cli import main
from lg_orch.cli import main as orch
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import ALLOW_ALL, server, write_config

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


@pytest.mark.usefixtures("programs_by_fork")
def test_a_gateway_that_makes_its_state_directory_says_so_once(tmp_path: Path) -> None:
    words = ("tools", "--config", str(write_config(tmp_path, server("a"), ALLOW_ALL)), "--state-dir")
    assert (
        f"made the state directory '{tmp_path}/new', which was not there" in run(*words, str(tmp_path / "new")).stderr
    )
    assert "made the state directory" not in run(*words, str(tmp_path / "new")).stderr
