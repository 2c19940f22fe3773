"""`lg-gateway add NAME -- COMMAND`: one more server behind the gateway."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from lg_gateway.cli import main
from lg_gateway.serving.setup import prepare
from tests.gateway.rig import flags


@pytest.fixture
def settings(clean_environment: Path) -> Path:
    return clean_environment / "config" / "lg" / "config.toml"


def test_a_server_is_added_with_its_sandbox_and_its_secret_kept_apart(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://packages.test/simple")
    monkeypatch.setenv("MINE", "from outside")
    words = ["add", "time", "--sandbox", "--env", "TIME_TOKEN=t0ken-0f-m1ne", "--env", "MINE"]
    assert main([*words, "--", "uvx", "mcp-server-time", "--utc"]) == 0
    assert "t0ken" not in settings.read_text() + capsys.readouterr().out
    table = tomllib.loads(settings.read_text())["gateway"]["servers"]["time"]
    assert (table["command"], table["args"]) == ("uvx", ["mcp-server-time", "--utc"])
    assert table["sandbox"] == {"network": ["packages.test"]}
    spec = next(spec for spec in prepare(flags(root=tmp_path), mcp_json=None).specs if spec.name == "time")
    assert spec.launch is not None
    assert (spec.launch.env["TIME_TOKEN"], spec.launch.env["MINE"]) == ("t0ken-0f-m1ne", "from outside")


def test_without_a_sandbox_one_is_proposed_and_a_server_of_that_name_stays(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", "notes", "--", "npx", "-y", "notes-mcp"]) == 0
    assert "runs with all your rights; add it with --sandbox" in capsys.readouterr().out
    before = settings.read_bytes()
    assert main(["add", "notes", "--url", "https://notes.example/mcp"]) == 1
    assert main(["add", "notes", "--url", "https://notes.example/mcp", "--replace", "--dry-run"]) == 0
    assert settings.read_bytes() == before
    assert main(["add", "notes", "--url", "https://notes.example/mcp", "--replace"]) == 0
    assert tomllib.loads(settings.read_text())["gateway"]["servers"]["notes"] == {
        "url": "https://notes.example/mcp", "transport": "auto"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["fs", "--", "x"], "a server of ours"),
        (["a b", "--", "x"], "cannot be a server's name"),
        (["a"], "either a command or --url"),
        (["a", "--url", "https://a.example", "--", "x"], "either a command or --url"),
        (["a", "--env", "=x", "--", "x"], "no name with a value"),
        (["a", "--url", "ftp://a.example"], "must begin with http:// or https://"),
        (["a", "--env", "A=${input:x}", "--", "x"], "is not a placeholder of the gateway"),
        (["a", "--header", "X", "--url", "https://a.example"], "no name with a value"),
        (["a", "--env", "A=1", "--url", "https://a.example"], "--env goes with a command"),
    ],
)
def test_what_is_no_server_is_refused_in_words(
    settings: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", *words]) == 2
    assert why in capsys.readouterr().err
    assert not settings.exists()
