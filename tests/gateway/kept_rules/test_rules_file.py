"""The user's settings file: who may write rules into it, where it may lie, and two who write at once."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lg_gateway.clients.settings_file import read_settings_text
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_policy.config.settings import RuleSettings
from lg_policy.errors import ConfigError

ADD = """
import sys
from pathlib import Path
from lg_gateway.kept_rules.rules_file import RulesFile
for n in range(20):
    name = f"{sys.argv[2]}-{n}"
    RulesFile(path=Path(sys.argv[1])).add({"name": name, "tools": [name], "effect": "allow"})
"""


def rule(name: str) -> dict[str, object]:
    return {"name": name, "tools": ["a__b"], "effect": "allow"}


def test_a_first_rule_makes_a_private_file_and_its_removal_leaves_it_empty(tmp_path: Path) -> None:
    file = RulesFile(path=tmp_path / "lg" / "config.toml")

    text = file.add(rule("one"), "Why.")

    assert file.path.read_text() == text
    assert file.path.stat().st_mode & 0o077 == 0
    file.remove(0, RuleSettings.model_validate(rule("one")))
    assert file.path.read_text() == ""


def test_the_mode_of_the_file_and_a_link_to_it_stay(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "lg.toml"
    real.parent.mkdir()
    real.write_text("# mine\n")
    real.chmod(0o640)
    (tmp_path / "lg").mkdir()
    (tmp_path / "lg" / "config.toml").symlink_to(real)

    RulesFile(path=tmp_path / "lg" / "config.toml").add(rule("one"))

    assert (tmp_path / "lg" / "config.toml").is_symlink()
    assert real.read_text().startswith("# mine\n\n[[gateway.rules]]\n")
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_rule_that_is_another_by_now_is_not_taken_out(tmp_path: Path) -> None:
    file = RulesFile(path=tmp_path / "config.toml")
    file.add(rule("one"))
    file.add(rule("two"))

    with pytest.raises(ConfigError, match="changed meanwhile"):
        file.remove(0, RuleSettings.model_validate(rule("two")))
    with pytest.raises(ConfigError, match="changed meanwhile"):
        file.remove(2, RuleSettings.model_validate(rule("two")))
    assert len(file.rules()) == 2


def test_two_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[approval]\nhold_s = 3\n")

    both = [subprocess.Popen([sys.executable, "-P", "-c", ADD, str(path), name]) for name in ("a", "b")]

    assert [process.wait(timeout=120) for process in both] == [0, 0]
    written = tomllib.loads(path.read_text())
    assert {entry["name"] for entry in written["gateway"]["rules"]} == {f"{n}-{i}" for n in "ab" for i in range(20)}
    assert path.read_text().startswith("# mine\n[approval]\nhold_s = 3\n")


def test_settings_that_are_nested_too_deep_to_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = " + "[" * 5_000)
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_settings_text(path)


def test_a_rule_that_another_writer_has_changed_since_it_was_listed_stays(tmp_path: Path) -> None:
    file = RulesFile(path=tmp_path / "config.toml")
    file.add(rule("one"))
    listed = RuleSettings.model_validate(file.rules()[0])
    for text in (file.path.read_text().replace('"allow"', '"deny"'), file.path.read_text().replace("tools", "tolls")):
        file.path.write_text(text)
        with pytest.raises(ConfigError, match="changed meanwhile"):
            file.remove(0, listed)
        assert file.path.read_text() == text
