"""A conversation at a real terminal: real program, real gateway, a model that speaks the real wire."""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import Scripted, ScriptedModel, calls, text
from tests.orchestrator.commands.talks import state, talking, working
from tests.orchestrator.llm.project import ANSWER, KEY, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("programs_by_fork")

FIX = "fix the failing sum in calc.py"
ASKED = "(Enter denies)? "


@pytest.fixture
def project(tmp_path: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make(tmp_path)
    for name in ("pyproject.toml", "tests/test_calc.py"):
        (made.root / name).unlink()  # no checks: this is about the conversation
    (made.root / "tests").rmdir()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return made


def work_requests(model: ScriptedModel) -> list[dict[str, Any]]:
    """The requests that go on with the work; those that classify offer no tools."""
    return [request for request in model.requests if request.get("tools")]


def assert_each_begins_with_the_one_before(requests: list[dict[str, Any]]) -> None:
    for before, after in itertools.pairwise(requests):
        assert after["messages"][: len(before["messages"])] == before["messages"]


def test_a_conversation_follows_up_shows_and_reverts_and_another_process_goes_on_with_it(project: Project) -> None:
    script = [
        calls(READ), calls(patch()), text(ANSWER), calls(READ), text("It adds two numbers."), text("I said: two."),
    ]  # fmt: skip
    with ScriptedModel(working(script)) as model:
        project.configure(model)
        with talking(project) as talk:
            talk.say(FIX)
            talk.wait(ASKED)
            assert f"\x1b[32m+    {RIGHT}" in talk.shown, "the diff is coloured"
            talk.type("o\n")
            talk.wait("Revert with")
            talk.wait_for_input()
            completed = talk.shown.count("lc.py") + 1
            talk.type("explain what add in @ca\t")
            talk.wait("lc.py", times=completed)
            talk.type(" does now\r")
            talk.wait("It adds two numbers.")
            talk.say("/cost")
            talk.wait("2 runs: ")
            talk.say("/diff")
            talk.wait(f"+    {RIGHT}", times=2)
            talk.say("/undo")
            talk.wait("[y/N]")
            talk.type("y\n")
            talk.wait("reverted 1 change set")
            talk.say(f"/nonsense {KEY}")
            talk.wait("there is no /nonsense")
            talk.say("/model opnai:x")
            talk.wait("did you mean openai:x?")
            assert "invalid_config" not in talk.shown
            talk.wait_for_input()
            talk.type("\x04")
            assert talk.end() == 0, talk.shown
        assert WRONG in project.source()
        assert_it_was_one_conversation(model)
        with talking(project, "--continue") as talk:
            talk.say("what did you say before?")
            talk.wait("I said: two.")
            talk.say("/quit")
            assert talk.end() == 0, talk.shown
        assert_each_begins_with_the_one_before(work_requests(model))
    assert len(list(state().rglob("journal.jsonl"))) == 3
    assert [path.name for path in state().rglob("*gateway.log")] == ["chat-gateway.log"]  # one gateway served them all


def assert_it_was_one_conversation(model: ScriptedModel) -> None:
    worked = work_requests(model)
    assert_each_begins_with_the_one_before(worked)
    assert len(worked) == 5
    assert worked[3]["tools"] == worked[2]["tools"]
    assert "calc.py does now" in str(worked[3]["messages"][-1])
    ids = [call["id"] for message in worked[-1]["messages"] for call in message.get("tool_calls") or ()]
    assert len(ids) == len(set(ids)) == 3
    (history,) = state().rglob("chat-history")  # what was typed is kept for its owner alone
    assert history.stat().st_mode & 0o777 == 0o600
    assert "/nonsense" in history.read_text()
    assert KEY not in history.read_text()


class Held:
    """A model that waits with an answer until the test lets it go on."""

    def __init__(self, script: list[Scripted], hold_at: int) -> None:
        self._script, self._hold_at = iter(script), hold_at
        self._count = 0
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _request: dict[str, Any]) -> Scripted:
        self._count += 1
        if self._count == self._hold_at:
            self.reached.set()
            assert self.go_on.wait(60)
        return next(self._script)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held([calls(READ), calls(READ), text("No change is needed.")], hold_at=2)
    yield made
    made.go_on.set()


def test_typed_text_is_told_with_the_next_step_and_ctrl_c_stops_so_that_the_same_run_can_go_on(
    project: Project, held: Held
) -> None:
    with ScriptedModel(held) as model:
        project.configure(model)
        with talking(project) as talk:
            talk.say(FIX)
            assert held.reached.wait(60)
            talk.type("leave the tests alone\r")
            talk.wait("you: leave the tests alone")
            talk.type("\x03")
            talk.wait("stopping after the current call")
            held.go_on.set()
            talk.wait("Type what to do instead")
            talk.say("only look")
            talk.wait("No change is needed.")
            talk.say("/runs")
            talk.wait(FIX, times=3)
            talk.say("/quit")
            assert talk.end() == 0, talk.shown
        told = [str(request["messages"]) for request in work_requests(model)]
    assert [text.count("leave the tests alone") for text in told] == [0, 0, 1]
    assert [text.count("only look") for text in told] == [0, 0, 1]
    assert len(list(state().rglob("journal.jsonl"))) == 1


def test_a_plan_is_changed_and_carried_out_ctrl_c_carries_nothing_out_and_ctrl_d_leaves_whatever_works(
    project: Project,
) -> None:
    plan = text('{"steps": [{"id": "s1", "description": "Read calc.py"}, {"id": "s2", "description": "Change it"}]}')
    held = {2: threading.Event(), 3: threading.Event()}
    reached = {2: threading.Event(), 3: threading.Event()}
    count = itertools.count(1)

    def answered(_request: dict[str, Any]) -> Scripted:
        number = next(count)
        if number in held:
            reached[number].set()
            assert held[number].wait(60)
        return plan if number == 1 else text("Looked, as the plan says.")

    with ScriptedModel(answered) as model:
        project.configure(model)
        with talking(project) as talk:
            talk.say(f"/plan\x1b\r{FIX}")  # on two lines
            talk.wait("or type what should be different")
            assert "Nothing was changed" in talk.shown
            talk.wait_for_input()
            talk.type("\x03")
            talk.say("/edit")
            talk.wait("Enter carries it out")
            talk.type("\x03")
            talk.wait("the plan was not carried out")
            assert len(model.requests) == 1
            talk.say("/edit")
            talk.wait("Ctrl-C, or [b], goes back", times=2)
            (draft,) = state().rglob("plan.txt")
            assert draft.read_text() == "1. Read calc.py\n2. Change it\n"
            draft.write_text("1. Read calc.py and nothing else\n")
            talk.wait_for_input()
            talk.type("\r")
            assert reached[2].wait(60)
            talk.type("and the caf\udce9 too\r")  # a byte that is no UTF-8
            talk.wait("(told with the next step)")
            held[2].set()
            talk.wait("next: and the caf")
            assert reached[3].wait(60)
            talk.type("\x04")
            talk.wait("stopping after the current call")
            held[3].set()
            assert talk.end() == 0, talk.shown
    told = str(work_requests(model)[0]["messages"])
    assert "Read calc.py and nothing else" in told
    assert "Change it" not in told
    assert "and the caf\ufffd too" in str(model.requests[2]["messages"])
    assert WRONG in project.source()


@pytest.mark.usefixtures("programs_by_fork")
def test_a_plan_alone_waits_for_resume(project: Project, tmp_path: Path) -> None:
    plan = text('{"steps": [{"id": "s1", "description": "Read \\u001b]8;;x\\u0007calc.py"}]}')
    steps = tmp_path / "steps.txt"
    steps.write_text("- look at calc.py\n")
    with ScriptedModel([plan, text("Looked.")]) as model:
        project.configure(model)
        planned = lg_orch("run", FIX, "--plan-only", *flags(project), cwd=project.root)
        assert planned.returncode == 3, planned.stderr
        assert "Nothing was changed" in planned.stdout
        assert "\x1b" not in planned.stdout
        (waits,) = map(json.loads, lg_orch("approvals", "--json", cwd=tmp_path).stdout.splitlines())
        assert (waits["kind"], waits["run_id"] in planned.stdout) == ("plan", True)
        assert "calc.py" in waits["message"]
        assert "\x1b" not in waits["message"]
        bad = lg_orch("resume", "last", "--plan", str(project.root / "calc.py"), *flags(project), cwd=project.root)
        assert bad.returncode == 2
        done = lg_orch("resume", "last", "--plan", str(steps), *flags(project), cwd=project.root)
    assert "Looked." in done.stdout, done.stderr
    assert "no run waits" in lg_orch("approvals", cwd=tmp_path).stdout
    assert "look at calc.py" in str(work_requests(model)[0]["messages"])


def test_without_a_terminal_the_program_says_what_can_be_typed(tmp_path: Path) -> None:
    alone = lg_orch(cwd=tmp_path)
    assert (alone.returncode, "commands:" in alone.stderr) == (2, True)
    chat = lg_orch("chat", cwd=tmp_path)
    assert chat.returncode == 2
    assert "needs a terminal" in chat.stderr


def flags(project: Project) -> tuple[str, ...]:
    return "--config", str(project.settings), "--repo-root", os.fspath(project.root)


NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale in which nothing but ASCII can be written."""


def test_a_narrow_window_without_utf_8_takes_a_long_paste_another_size_and_the_answer_that_a_run_waits_for(
    project: Project,
) -> None:
    script = [calls(READ), calls(patch()), text("Done: it adds “now” …"), text("Nothing else.")]
    with ScriptedModel(working(script)) as model:
        project.configure(model)
        assert project.run(request=FIX).returncode == 3
        with talking(project, size=(24, 40), env=NARROW) as talk:
            talk.wait_for_input()
            talk.paste("a long story\n" * 8_000)
            talk.type("\r")
            talk.wait("more than 20000")
            talk.resize(30, 100)
            talk.say("/model openai:another")
            talk.wait("model: openai:another")
            talk.say("/model openai:scripted")
            talk.wait("model: openai:scripted")
            talk.say("/approve")
            talk.wait(ASKED)
            talk.resize(24, 40)
            talk.type("o\n")
            talk.wait("Done: it adds")
            talk.say("anything else?")
            talk.wait("Nothing else.")
            talk.say("/quit")
            assert talk.end() == 0, talk.shown
    assert RIGHT in project.source()
    assert "Traceback" not in talk.shown
