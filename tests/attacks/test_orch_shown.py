"""What a human of `lg-orch` is asked about is shown whole, whatever the journal hides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, calls
from lg_policy.state import open_state
from tests.orchestrator.llm.project import READ, WRONG, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

TOKEN = "ghp_" + "a1" * 18
"""Looks like a secret. It stands beside the line that is changed, so the diff shows it."""


@pytest.mark.usefixtures("programs_by_fork")
@pytest.mark.attack("Approvals", "a change with text that looks like a secret, answered later from another terminal")
def test_a_question_that_waits_is_shown_whole_and_the_journal_hides_its_secrets(tmp_path: Path) -> None:
    project = make(tmp_path)
    (project.root / "calc.py").write_text(f"def add(a, b):\n    # {TOKEN}\n    {WRONG}\n")
    with ScriptedModel([calls(READ), calls(patch())]) as model:
        project.configure(model)
        asked = project.run()
    assert asked.returncode == 3, asked.stdout + asked.stderr
    assert TOKEN in asked.stdout
    assert TOKEN in lg_orch("approvals", cwd=project.root, env=project.env()).stdout
    (listed,) = lg_orch("approvals", "--json", cwd=project.root, env=project.env()).stdout.splitlines()
    assert TOKEN in json.loads(listed)["message"]
    assert json.loads(listed)["arguments"] == patch()[1], "what --edit begins with"
    (run,) = (open_state(root=project.root).path / "runs").iterdir()
    assert TOKEN not in (run / "journal.jsonl").read_text()
    assert TOKEN not in json.dumps(project.trace())
    assert [path.stat().st_mode & 0o777 for path in (run / "questions").iterdir()] == [0o600]
    assert WRONG in project.source()
