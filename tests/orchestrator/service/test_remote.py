"""The commands with `--server`: a run service does what is typed here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.cli import main
from tests.orchestrator.service.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def test_a_run_is_made_shown_and_listed_on_a_server(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a\u2028thing,\x85and\u2029another.\n")
    with serving(root) as api:
        at = ["--server", f"http://127.0.0.1:{api.port}"]
        assert main(["run", "summarize repo", *at]) == 2
        assert "LG_SERVER_TOKEN" in capfd.readouterr().err
        token = tmp_path / "token"
        token.write_text(api.token)
        monkeypatch.setenv("LG_SERVER_TOKEN_FILE", str(token))
        assert main(["run", "summarize repo", *at]) == 0
        said = capfd.readouterr()
        assert "Thing" in said.out
        assert "context_builder" in said.err or "list_files" in said.err
        assert main(["runs", "list", "--json", *at]) == 0
        (listed,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert main(["runs", "show", listed["run_id"], *at]) == 0
        assert "state       done" in capfd.readouterr().out
        assert main(["undo", *at]) == 0
        assert "nothing to undo" in capfd.readouterr().out
        assert main(["resume", *at]) == 1
        assert "came to its end" in capfd.readouterr().err
        assert main(["cancel", *at]) == 1
        assert main(["runs", "show", "20260101T000000-aaaaaa", *at]) == 1
        assert main(["run", "x", "--yes", *at]) == 2
        assert main(["runs", "list", "--server", "http://example.com"]) == 2
        assert "https" in capfd.readouterr().err
    assert main(["runs", "list", *at]) == 1
    assert "lg-orch serve" in capfd.readouterr().err
