"""A repository that has files of clients in it, made by somebody else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lg_gateway.cli import main
from lg_gateway.clients.formats.json_edit import with_member
from lg_gateway.clients.names import fit_name
from lg_gateway.clients.reading import read_client_file
from lg_policy.errors import ConfigError


@pytest.mark.attack("Servers", "a repository's .cursor/mcp.json, or .cursor itself, is a link to a file elsewhere")
@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_in_a_project_does_not_lead_an_installation_out_of_it(
    linked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mcp.json").write_text("{}")
    if linked == "folder":
        (project / ".cursor").symlink_to(elsewhere)
    else:
        (project / ".cursor").mkdir()
        (project / ".cursor" / "mcp.json").symlink_to(elsewhere / "mcp.json")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project)

    for words in (["install", "cursor", "--project"], ["install", "cursor", "--project", "--remove"]):
        assert main(words) == 2
        assert "outside the project" in capsys.readouterr().err
    assert (elsewhere / "mcp.json").read_text() == "{}"


@pytest.mark.attack("Servers", "a repository's file of a client that is a pipe, or has entries of odd shapes")
@pytest.mark.parametrize(
    "content", [None, '{"mcpServers": {"lg": {"args": 5}}}', '{"mcpServers": {"lg": {"command": {}}}}']
)
def test_an_odd_file_in_a_project_is_left_alone(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "project" / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True)
    if content is None:
        os.mkfifo(file)
    else:
        file.write_text(content)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")

    assert main(["install", "cursor", "--project"]) == 2
    why = capsys.readouterr().err
    assert ("not a regular file" if content is None else "is not ours") in why


TAGS = (
    "a: !!timestamp x",
    'a: !!int ""',
    "a: !!bool x",
    "a: " + "1:" * 40 + "1.5e",
    "? !!set {a}\n: 1",
    "a: !!float x",
)


@pytest.mark.attack("Servers", "comments, numbers and keys in a client's file that take long to read")
def test_comments_numbers_and_keys_are_read_in_linear_time(tmp_path: Path) -> None:
    texts = {"numbers.yaml": "a: " + "1:" * 300_000 + "1\n", "keys.toml": "a" + ".a" * 200_000 + " = 1\n"}
    texts |= {f"tag{number}.yaml": text for number, text in enumerate(TAGS)}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    began = time.process_time()
    made = with_member('{"s": {\n"a": 1 ' + "/**/ " * 2_000 + "}\n}", ("s",), "b", 2)
    for name in texts:
        with pytest.raises(ConfigError):
            read_client_file(tmp_path / name)
    assert time.process_time() - began < 20
    assert '"b": 2' in made


@pytest.mark.attack("Servers", "servers of a client's file whose names are made the same, or that are without number")
def test_no_server_of_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    taken: dict[str, object] = {}
    for number in range(2_000):
        taken[fit_name(f"a server with a long name, number {number}", taken)] = number
    assert len(taken) == 2_000
    assert max(map(len, taken)) <= 31
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {f"s{number}": {"command": "x"} for number in range(2_001)}}))
    with pytest.raises(ConfigError, match="more than 2000 servers"):
        read_client_file(file)
