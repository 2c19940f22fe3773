from __future__ import annotations

from pathlib import Path

import pytest

from lg_orch.cli import arguments
from lg_orch.settings.find_root import find_root
from lg_orch.settings.setup import prepare
from lg_policy.errors import ConfigError


def test_the_flag_beats_the_environment_and_that_the_git_top_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flag", "env", "repo/.git", "repo/deep/er"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo" / "deep" / "er")
    environ = {"LG_REPO_ROOT": str(tmp_path / "env")}
    assert find_root(tmp_path / "flag", environ) == tmp_path / "flag"
    assert find_root(None, environ) == tmp_path / "env"
    assert find_root(None, {}) == tmp_path / "repo"


def test_a_worktree_whose_git_is_a_file_is_a_top_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / ".git").write_text("gitdir: elsewhere")
    monkeypatch.chdir(tmp_path / "tree" / "sub")
    assert find_root(None, {}) == tmp_path / "tree"


@pytest.mark.parametrize(("name", "words"), [("missing", "does not exist"), ("file", "is not a directory")])
def test_a_wrong_root_is_an_error_that_says_what_is_wrong(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=words):
        find_root(tmp_path / name, {})


def test_a_relative_root_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_root(Path("repo"), {}) == tmp_path / "repo"


def test_a_settings_file_below_the_root_is_closed_to_changes(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    for config, closed in ((root / "lg.toml", True), (tmp_path / "lg.toml", False)):
        config.write_text("[budgets]\nmax_loops = 1\n")
        args = arguments(["run", "x", "--repo-root", str(root), "--config", str(config)])
        settings = prepare(args).loaded.settings
        assert settings.budgets.max_loops == 1
        assert ("/lg.toml" in settings.policy.write_deny) is closed
