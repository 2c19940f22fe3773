"""`lg-orch init`: asks, writes one new file, and says what is still missing."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from lg_orch.cli import main
from lg_orch.llm.providers import PROVIDERS
from tests.gateway.commands.terminals import on_terminal


@pytest.fixture
def written(tmp_path: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings go; no key is set."""
    for known in PROVIDERS.values():
        for name in known.key_names:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("LG_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return tmp_path / "configuration" / "lg" / "config.toml"


def test_at_a_terminal_it_asks_again_what_is_not_understood_and_writes_what_was_answered(
    written: Path, tmp_path: Path
) -> None:
    place = tmp_path / "environment"
    place.mkdir()
    program = os.path.join(os.path.dirname(sys.executable), "lg-orch")
    with on_terminal(program, "init", env=dict(os.environ), size=(40, 80)) as screen:
        for question, time, answer in (
            ("Provider [", 1, "oper"), ("Provider [", 2, "server"), ("Model [", 1, "my-model"),
            ("8080/v1 [", 1, "ftp://x"), ("8080/v1 [", 2, "http://127.0.0.1:9/v1"),
            ("or a path) [", 1, "/no/such"), ("or a path) [", 2, str(place)),
            ("are changed [", 1, "n"), ("none) [", 1, "bell"),
        ):  # fmt: skip
            screen.wait(question, times=time)
            screen.type(f"{answer}\n")
        assert screen.end() == 0, screen.shown
    assert tomllib.loads(written.read_text()) == {
        "models": {"default": {"provider": "openai", "model": "my-model", "base_url": "http://127.0.0.1:9/v1"}},
        "exec": {"environment": str(place)},
        "policy": {"require_approval_for_mutations": False},
        "approval": {"notify": ["bell"]},
    }
    assert written.stat().st_mode & 0o777 == 0o600
    assert "'oper' is not one of" in screen.shown
    assert "/no/such is no directory" in screen.shown
    asked = screen.shown.partition("/no/such")[0].replace("(for example", "\n")
    assert [line for line in asked.splitlines() if len(line) > 80] == []


def test_yes_takes_the_defaults_and_names_what_is_still_missing_but_no_key(
    written: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-that-is-not-told")
    assert main(["init", "--yes"]) == 0
    shown = capsys.readouterr()
    values = tomllib.loads(written.read_text())
    assert values["models"]["default"]["provider"] == "openai"
    assert values["policy"]["require_approval_for_mutations"] is True
    assert "sk-a-key" not in shown.out + shown.err + written.read_text()
    monkeypatch.delenv("OPENAI_API_KEY")
    written.unlink()
    assert main(["init", "--yes", "--model", "openai:gpt-x"]) == 0
    missing = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("to do: "))
    assert "OPENAI_API_KEY" in missing


@pytest.mark.parametrize("kind", ["file", "broken link"])
def test_a_file_that_exists_is_never_changed(kind: str, written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written.parent.mkdir(parents=True)
    if kind == "file":
        written.write_text("# mine\n")
    else:
        written.symlink_to("nowhere")
    assert main(["init", "--yes"]) == 2
    assert "exists" in capsys.readouterr().err
    assert not (written.parent / "nowhere").exists()
    if kind == "file":
        assert written.read_text() == "# mine\n"


def test_without_a_terminal_it_asks_nothing_and_says_what_to_type(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert not written.parent.exists()


@pytest.mark.parametrize("model", ['openai:a"b', "openai:a\\b", "openai:\u202eab", "openai:a]\u00e9#"])
def test_a_name_with_marks_of_toml_is_written_as_it_is_or_refused(
    model: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["init", "--yes", "--model", model])
    if status == 0:
        assert tomllib.loads(written.read_text())["models"]["default"]["model"] == model.partition(":")[2]
    else:
        assert "cannot be printed" in capsys.readouterr().err
        assert not written.exists()


def test_an_answer_that_no_path_can_be_made_of_is_asked_again(written: Path) -> None:
    program = os.path.join(os.path.dirname(sys.executable), "lg-orch")
    with on_terminal(program, "init", env=dict(os.environ), size=(40, 80)) as screen:
        for question, time, answer in (
            ("Provider [", 1, "local"), ("or a path) [", 1, "~no-such-user/environment"), ("or a path) [", 2, "none"),
            ("are changed [", 1, "y"), ("none) [", 1, "none"),
        ):  # fmt: skip
            screen.wait(question, times=time)
            screen.type(f"{answer}\n")
        assert screen.end() == 0, screen.shown
    assert tomllib.loads(written.read_text())["exec"] == {"environment": "none"}
