"""What a provider's cache wants: each request of a run begins with the one before it, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.contracts.events import Event
from lg_orch.contracts.remarks import FOUND, SAID, Remark
from lg_orch.runs.history import remarks_of
from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, WRONG, last, patch, settings_for, shop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.orchestrator.llm.workshop import Shop

pytestmark = pytest.mark.anyio
LONG = "a line that is long enough to be cut\n" * 900


def wire(request: dict[str, Any]) -> str:
    """A request as a provider's cache sees it: tools, then messages in order, without what ends the last one."""
    return json.dumps([request["tools"], *request["messages"]]).removesuffix("]")


def assert_append_only(model: ScriptedModel) -> None:
    for number, (before, after) in enumerate(itertools.pairwise(map(wire, model.requests)), start=1):
        assert after.startswith(before), f"request {number + 1} does not begin as the one before it"


@dataclass
class SaysAfter:
    """A user who says something once so many results are there."""

    results: int
    made: Shop | None = None
    seen: list[str] = field(default_factory=list)

    def show(self, event: Event) -> None:
        if event.kind == "tool" and event.phase == "end" and str(event.data["call_id"]).startswith("m"):
            self.seen.append(str(event.data["call_id"]))
            if len(self.seen) == self.results and self.made is not None:
                control = self.made.world.services.control
                control.remarks = (*control.remarks, Remark(text=f"{SAID}keep it short"))


async def test_each_request_begins_with_the_one_before_it_also_after_a_word_of_the_user_and_cut_results(
    tmp_path: Path,
) -> None:
    read_long = calls(("fs__read_file", {"path": "long.txt"}))
    script = [
        READ, read_long, patch(new="return a * b"), text("It multiplies."), patch(old="return a * b"), text(DONE),
    ]  # fmt: skip
    user = SaysAfter(results=2)
    with ScriptedModel(script) as model:
        async with shop(tmp_path, settings_for(model), files={"long.txt": LONG}, listeners=(user,)) as made:
            user.made = made
            state = await made.go()
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert len(model.requests) == 6
    assert_append_only(model)
    assert "characters left out" in json.dumps(model.requests[2]), "a result was cut"
    assert last(model, 2) == f"{SAID}keep it short"
    assert "keep it short" not in model.requests[-1]["messages"][1]["content"]


async def test_calls_of_one_turn_are_made_in_order_and_each_sees_what_the_ones_before_it_did(tmp_path: Path) -> None:
    first = patch(new="return a * b").calls[0]
    second = patch(old="return a * b", new=RIGHT).calls[0]
    show = calls(("exec__exec", {"cmd": "python", "args": ["-c", "print(open('calc.py').read())"]})).calls[0]
    again = READ.calls[0]
    turn = calls(*((name, json.loads(arguments)) for name, arguments in (first, second, show, again)))
    with ScriptedModel([READ, turn, text(DONE)]) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            state = await made.go()
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert made.tools.names()[-5:-1] == ["fs__apply_patch", "fs__apply_patch", "exec__exec", "fs__read_file"]
    answers = [str(message["content"]) for message in model.requests[2]["messages"] if message["role"] == "tool"][-4:]
    assert ["return a * b" in answer for answer in answers] == [True, True, False, False]
    assert all(RIGHT in answer for answer in answers[1:])
    assert WRONG not in made.source()
    assert_append_only(model)


def test_a_remark_stands_where_the_first_request_after_it_showed_it() -> None:
    def event(number: int, name: str, phase: str = "note", **data: Any) -> Event:
        kind = "model" if phase == "begin" else "thought"
        told = {"seq": number, "time": "2026-01-01T00:00:00Z", "kind": kind, "name": name, "phase": phase, "data": data}
        return Event.model_validate(told)

    events = [
        event(1, "user", text="use a capital", guidance=True),
        event(2, "m", "begin", role="router"),
        event(3, "m", "begin", role="coder", results=2),
        event(4, "tree", text="files changed", notice=True),
        event(5, "m", "begin", role="coder", results=5),
        event(6, "user", text="be quick", guidance=True),
    ]
    assert remarks_of(events) == (
        Remark(text=f"{SAID}use a capital", after=2), Remark(text=f"{FOUND}files changed.", after=5),
        Remark(text=f"{SAID}be quick"),
    )  # fmt: skip
    old = [event(1, "user", text="x", guidance=True), event(2, "m", "begin", role="coder")]
    assert remarks_of(old) == (Remark(text=f"{SAID}x", after=0),), "an earlier version's journal has no place"
