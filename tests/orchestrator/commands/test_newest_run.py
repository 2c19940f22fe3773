"""Commands without a run id work on the newest run, and name it. Real programs, a scripted model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.llm.project import ANSWER, KEY, READ, RIGHT, Project, make, patch
from tests.orchestrator.programs import lg_orch

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return make(tmp_path)


def run_id(shown: str) -> str:
    found = re.search(r"run (\d{8}T\d{6}-[0-9a-f]{6})", shown)
    assert found is not None, shown
    return found.group(1)


def test_undo_names_its_run_and_the_one_that_changed_files_and_what_stands_in_the_way(project: Project) -> None:
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        changed = lg_orch("run", "fix the sum", "--yes", "--config", str(project.settings), cwd=project.root)
    before = run_id(changed.stdout)
    asked = lg_orch("run", "where is add defined?", cwd=project.root)
    nothing = lg_orch("undo", cwd=project.root)
    assert f"undoing {run_id(asked.stdout)}: where is add defined?" in nothing.stderr
    assert f"`lg-orch undo {before}` takes its changes back" in nothing.stdout
    assert nothing.returncode == 0

    file = project.root / "calc.py"
    after = file.read_text()
    file.write_text(f"{after}# mine\n")
    refused = lg_orch("undo", before, "--yes", cwd=project.root)
    assert refused.returncode == 1
    assert re.search(r"\n    calc\.py was changed after step \d+\n  take your own edits out", refused.stderr)
    assert "\\u{a}" not in refused.stderr
    assert file.read_text() == f"{after}# mine\n"

    file.write_text(after)
    done = lg_orch("undo", before, "--yes", cwd=project.root)
    assert (done.returncode, RIGHT in file.read_text()) == (0, False), done.stderr


def test_resume_and_runs_show_work_on_the_newest_run(project: Project) -> None:
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        waits = lg_orch("run", "fix the sum", "--config", str(project.settings), cwd=project.root)
        assert waits.returncode == 3
        done = lg_orch("resume", "--approve", cwd=project.root)
    assert re.search(r"resuming \S+: fix the sum", done.stderr)
    assert RIGHT in project.source()
    shown = lg_orch("runs", "show", cwd=project.root).stdout
    assert shown.startswith(f"run       {run_id(done.stdout)}\n")
    html = lg_orch("runs", "show", "--html", cwd=project.root).stdout
    assert "<svg" in html
    assert not re.search(r"<script|(?:src|href)=.?(?:https?:|/)", html)
    assert lg_orch("runs", "show", "--diff", cwd=project.root).stdout.startswith(f"# run {run_id(done.stdout)}: fix")
