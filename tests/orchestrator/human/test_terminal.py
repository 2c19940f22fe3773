"""A person at a real terminal: approves, edits, interrupts. Real processes, real gateway, a pseudo-terminal."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lg_gateway.kept_rules.rules_file import rules_file
from lg_orch.testing import ScriptedModel, calls, text
from tests.gateway.commands.support_commands import run as gateway
from tests.gateway.commands.terminals import Screen, on_terminal
from tests.orchestrator.llm.project import ANSWER, KEY, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("programs_by_fork")


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


def created(name: str, old: str = "", new: str = "one") -> tuple[str, dict[str, str]]:
    return "fs__apply_patch", {"patch": f"{name}\n<<<<<<< SEARCH\n{old}=======\n{new}\n>>>>>>> REPLACE\n"}


TURN = calls(created("a.txt"), created("b.txt"), created("a.txt", "one\n", "two"))


def test_the_calls_of_one_turn_are_asked_about_in_one_question_but_for_what_builds_on_another(project: Project) -> None:
    with ScriptedModel([TURN, text(ANSWER)]) as model:
        project.configure(model)
        with run_on_terminal(project) as screen:
            shown = screen.wait("All 2: ")
            first, second = shown[shown.index("Call 1 of 2:") :].split("Call 2 of 2:")
            assert ("a.txt" in first, "b.txt" in second) == (True, True), shown
            assert not (project.root / "a.txt").exists()
            screen.type("o\n")
            shown = screen.wait("[e]dit, or [d]eny (Enter denies)? ")
            assert (project.root / "a.txt").read_text() == "one\n"
            assert (project.root / "b.txt").read_text() == "one\n"
            assert "+two" in shown.replace(" ", "")
            screen.type("o\n")
            screen.wait("ended  ")
            assert screen.end() == 4, screen.shown  # nothing there can check it
    assert (project.root / "a.txt").read_text() == "two\n"


def test_a_run_that_waits_with_the_calls_of_a_turn_is_answered_once_for_all(project: Project) -> None:
    first, second = ([created(f"{name}.txt") for name in names] for names in ("xy", "abc"))
    with ScriptedModel([calls(*first), calls(*second), text(ANSWER)]) as model:
        project.configure(model)
        assert project.run(request="add three files").returncode == 3
        here: dict[str, Any] = {"cwd": project.root, "env": project.env()}
        waits = lg_orch("resume", "last", "--deny", "--reason", "other names", **here)
        assert waits.returncode == 3, waits.stdout + waits.stderr
        listed = gateway("approvals", "list", "--json", "--root", str(project.root))
        assert len(listed.stdout.splitlines()) == 3, "what was denied with its turn waits for nobody"
        assert waits.stdout.count("A tool call needs your approval") == 3
        assert waits.stdout.count("One answer counts for all 3 calls of the turn.") == 1
        (project.root.parent / "call.json").write_text("{}")
        edited = lg_orch("resume", "last", "--edit", str(project.root.parent / "call.json"), **here)
        assert (edited.returncode, "3 calls at once" in edited.stderr) == (2, True), edited.stderr
        done = lg_orch("resume", "last", "--approve", **here)
    assert done.returncode == 4, done.stdout + done.stderr  # nothing there can check it
    assert [(project.root / f"{name}.txt").read_text() for name in "abc"] == ["one\n"] * 3


def test_nobody_is_asked_about_a_change_that_a_question_excludes(project: Project) -> None:
    command = ("exec__exec", {"cmd": "python", "args": ["-c", "print(1)"]})
    with ScriptedModel([calls(command, created("a.txt"), created("b.txt")), text(ANSWER)]) as model:
        project.configure(model, extra='[[gateway.rules]]\ntools = ["exec__exec"]\neffect = "approve"\n')
        assert project.run(request="where is add defined?").returncode == 3
        listed = gateway("approvals", "list", "--json", "--root", str(project.root)).stdout.splitlines()
    assert [json.loads(line)["tool"] for line in listed] == ["exec__exec"]
