"""A request that needs a language model is refused before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.orchestrator.programs import lg_orch

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def test_a_change_without_a_model_is_refused_before_the_gateway_starts(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    done = lg_orch("run", "fix the bug in a.py", "--json", "--repo-root", str(tmp_path), cwd=tmp_path)
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    result = json.loads(done.stdout)

    assert (done.returncode, result["status"]) == (2, "refused")
    assert "this request needs a language model" in result["text"]
    assert "--model PROVIDER:NAME" in result["text"]
    assert [(event["name"], event["phase"]) for event in events] == [
        ("run", "begin"),
        ("router", "note"),
        ("run", "end"),
    ]
    shown = lg_orch("runs", "show", "last", "--repo-root", str(tmp_path), cwd=tmp_path).stdout
    assert "status    refused" in shown
