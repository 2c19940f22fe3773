"""Ctrl-C twice in a conversation: the command that runs is ended at once, the conversation and its gateway stay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.commands.talks import state, talking, working
from tests.orchestrator.llm.project import KEY, Project, make

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("programs_by_fork")

WAIT_S = 60
MARK = "test_that_takes_ten_minutes_and_is_stopped"
SLOW = ("exec__exec", {"cmd": "pytest", "args": ["-q", "-k", MARK]})


@pytest.fixture
def project(tmp_path: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make(tmp_path)
    (made.root / "tests" / "test_calc.py").write_text(f"import time\n\n\ndef {MARK}():\n    time.sleep(600)\n")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return made


def commands_of_the_test() -> list[int]:
    """Processes that were started for the slow test."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        found += [int(path.parent.name)] if MARK.encode() in words else []
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_twice_ends_the_command_and_the_conversation_goes_on_with_the_same_run(project: Project) -> None:
    script = [calls(SLOW), text("It takes too long; I looked at it instead."), text("Two.")]
    with ScriptedModel(working(script)) as model:
        project.configure(model)
        with talking(project, "--yes") as talk:
            talk.say("why does calc take so long?")
            until(lambda: bool(commands_of_the_test()))
            talk.type("\x03")
            talk.wait("stopping after the current call")
            assert commands_of_the_test(), "the first one lets it go on"
            talk.type("\x03")
            talk.wait("Type what to do instead")
            until(lambda: not commands_of_the_test())
            talk.say("only look")
            talk.wait("I looked at it instead.")
            talk.say("how many is that?")
            talk.wait("Two.")
            talk.say("/quit")
            assert talk.end() == 0, talk.shown
    assert [path.name for path in state().rglob("*gateway.log")] == ["chat-gateway.log"]
    assert len(list(state().rglob("journal.jsonl"))) == 2
