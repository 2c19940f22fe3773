"""A person at a real terminal: approves, edits, interrupts. Real processes, real gateway, a pseudo-terminal."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lg_gateway.kept_rules.rules_file import rules_file
from lg_orch.testing import ScriptedModel, calls, text
from tests.gateway.commands.support_commands import run as gateway
from tests.gateway.commands.terminals import Screen, on_terminal
from tests.orchestrator.llm.project import ANSWER, KEY, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make(tmp_path)
    for name in ("pyproject.toml", "tests/test_calc.py"):
        (made.root / name).unlink()  # no checks: this is about the questions
    (made.root / "tests").rmdir()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return made


@contextmanager
def run_on_terminal(project: Project) -> Iterator[Screen]:
    program = os.path.join(os.path.dirname(sys.executable), "lg-orch")
    arguments = ("run", "fix the failing sum in calc.py", "--config", str(project.settings))
    with on_terminal(
        program, *arguments, "--repo-root", str(project.root), env={**os.environ, "TERM": "dumb"}
    ) as screen:
        yield screen


def test_a_person_edits_a_patch_in_a_file_and_approves_what_came_of_it(project: Project) -> None:
    with ScriptedModel([calls(READ), calls(patch(new="return a * b")), text(ANSWER)]) as model:
        project.configure(model)
        with run_on_terminal(project) as screen:
            screen.type("o\n")  # before anything was asked: it answers nothing
            shown = screen.wait("(Enter denies)? ")
            assert "+    return a * b" in shown
            screen.type("e\n")
            shown = screen.wait("goes back: ")
            draft = Path(next(line.strip() for line in shown.splitlines() if line.strip().endswith("patch.txt")))
            draft.write_text(draft.read_text().replace("a * b", "a + b"))
            screen.type("\n")
            assert f"+    {RIGHT}" in screen.wait("(Enter denies)? ", times=2)
            assert WRONG in project.source()
            screen.type("o\n")
            screen.wait("ended  ")
            assert screen.end() == 4, screen.shown  # nothing there can check it
    assert RIGHT in project.source()
    assert "the changed call follows" in str(model.requests[2]["messages"])


def test_ctrl_c_at_a_question_ends_the_run_at_once_and_the_question_can_be_answered_later(project: Project) -> None:
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        with run_on_terminal(project) as screen:
            screen.wait("(Enter denies)? ")
            screen.type("\x03")
            assert screen.end() == 130, screen.shown
        assert "continues it" in screen.shown
        assert WRONG in project.source()
        done = lg_orch("resume", "last", "--approve", "--repo-root", str(project.root), cwd=project.root.parent)
    assert done.returncode == 4, done.stdout + done.stderr  # nothing there can check it
    assert RIGHT in project.source()


def test_a_person_keeps_an_answer_as_a_rule_and_the_next_run_asks_about_it_no_more(project: Project) -> None:
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        with run_on_terminal(project) as screen:
            screen.wait("[a]lways, [e]dit, or [d]eny (Enter denies)? ")
            screen.type("a\n")
            assert 'this tool, "fs__apply_patch"' in screen.wait("Which? Enter goes back: ")
            screen.type("1\n")
            shown = screen.wait("anything else goes back: ")
            screen.type("\n")
            screen.wait("(Enter denies)? ", times=2)
            assert not rules_file(os.environ).path.exists(), "a rule was written before a person said yes to it"
            screen.type("always\n1\ny\n")
            screen.wait("ended  ")
            assert screen.end() == 4, screen.shown  # nothing there can check it
    (rule,) = rules_file(os.environ).rules()
    assert 'tools = ["fs__apply_patch"]' in shown
    assert str(rules_file(os.environ).path) in shown.replace("\n", "")
    assert (rule["tools"], rule["effect"], rule["roots"]) == (["fs__apply_patch"], "allow", [str(project.root)])
    assert RIGHT in project.source()

    listed = gateway("rules", "list", "--root", str(project.root))
    assert "fs__apply_patch" in listed.stdout
    with ScriptedModel([calls(READ), calls(patch(old=RIGHT, new="return b + a")), text(ANSWER)]) as model:
        project.configure(model)
        with run_on_terminal(project) as screen:
            screen.wait("ended  ")
            assert screen.end() == 4, screen.shown
    assert "return b + a" in project.source()
    assert gateway("rules", "remove", rule["name"], "--root", str(project.root)).returncode == 0
    assert rules_file(os.environ).rules() == []
