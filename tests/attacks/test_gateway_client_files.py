"""A repository that has files of clients in it, made by somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_gateway.cli import main


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
