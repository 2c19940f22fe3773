"""Runs that wait for a human, or were killed, and go on in another process. Real gateway, real servers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lg_orch.agent.tree_check import CHANGED
from lg_orch.recording.journal import read_journal
from lg_policy.state import open_state
from tests.orchestrator.programs import lg_orch, running
from tests.small_environment import pytest_environment

pytestmark = pytest.mark.usefixtures("programs_by_fork")

QUESTION = "do the tests pass?"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one test that notes each time it really ran."""
    root = tmp_path / "repo"
    (root / "tests").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n[tool.pytest.ini_options]\n')
    (root / "tests" / "test_ran.py").write_text(
        f"def test_ran():\n    with open({str(tmp_path / 'ran')!r}, 'a') as file:\n        file.write('x')\n"
    )
    (tmp_path / "settings.toml").write_text(
        f'[exec]\nsandbox = "off"\nenvironment = "{pytest_environment()}"\n'
        "[exec.commands.pytest]\nneeds_sandbox = false\n"
    )
    return root


def run_id_of(root: Path) -> str:
    (path,) = (open_state(root=root).path / "runs").iterdir()
    return path.name


def times_ran(root: Path) -> int:
    path = root.parent / "ran"
    return len(path.read_text()) if path.exists() else 0


def test_without_a_terminal_a_run_waits_and_goes_on_with_the_answer_from_anywhere(
    project: Path, tmp_path: Path
) -> None:
    asked = lg_orch("run", QUESTION, "--config", "../settings.toml", cwd=project)
    run_id = run_id_of(project)
    assert asked.returncode == 3, asked.stderr
    assert f"lg-orch resume {run_id} --approve" in asked.stdout
    assert "needs your approval" in asked.stdout
    still = lg_orch("resume", run_id, cwd=tmp_path)
    assert still.returncode == 3, still.stderr
    assert times_ran(project) == 0
    done = lg_orch("resume", run_id, "--approve", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resume --approve" in done.stdout
    assert CHANGED not in done.stdout, "what the run itself does is no change by others"
    assert times_ran(project) == 1
    again = lg_orch("resume", run_id, "--approve", cwd=tmp_path)
    assert again.returncode == 1
    assert "has ended" in again.stderr
    assert times_ran(project) == 1


def test_a_denied_call_is_not_made_and_the_report_says_why_and_that_files_were_changed_meanwhile(
    project: Path,
) -> None:
    lg_orch("run", QUESTION, "--config", "../settings.toml", cwd=project)
    (project / "theirs.py").write_text("x = 1\n")
    run_id = run_id_of(project)
    done = lg_orch("resume", run_id, "--deny", "--reason", "not today", cwd=project)
    assert done.returncode == 4, "the check could not be run"
    assert "not today" in done.stdout
    assert times_ran(project) == 0
    assert CHANGED in done.stdout
    shown = json.loads(lg_orch("runs", "show", run_id, "--json", cwd=project).stdout)
    looks = [call for call in shown["tool_calls"] if call["step"] == "tree"]
    assert len(looks) == 2
    assert re.fullmatch("[0-9a-f]{64}", shown["root"]["tree"])
    assert f"files     {shown['root']['tree']}" in lg_orch("runs", "show", run_id, cwd=project).stdout


def test_a_killed_run_goes_on_without_repeating_what_it_had_done_but_not_by_a_damaged_journal(project: Path) -> None:
    with running("summarize repo", cwd=project) as run:
        run.wait_for("node", "executor", "begin")
        run.process.kill()
        run.end()
    run_id = run_id_of(project)
    journal = open_state(root=project).path / "runs" / run_id / "journal.jsonl"
    before = [event.data["call_id"] for event in read_journal(journal) if event.phase == "end" and event.kind == "tool"]
    first, rest = (whole := journal.read_bytes()).split(b"\n", 1)
    journal.write_bytes(damaged := first + b"\ngarbage\n" + rest)
    for refused in (lg_orch("resume", run_id, cwd=project), lg_orch("undo", run_id, "--yes", cwd=project)):
        assert refused.returncode == 1
        assert "is damaged at line 2" in refused.stderr
        assert journal.read_bytes() == damaged
    journal.write_bytes(whole)
    done = lg_orch("resume", run_id, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "# Summary" in done.stdout
    after = [event.data["call_id"] for event in read_journal(journal) if event.phase == "end" and event.kind == "tool"]
    assert after[: len(before)] == before
    assert len(after) == len(set(after))


def test_a_run_that_never_was_is_not_resumed(tmp_path: Path) -> None:
    done = lg_orch("resume", "20260101T000000-abcdef", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no run" in done.stderr
