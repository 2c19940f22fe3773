"""The live block of a run: what is done now, and what it took so far, from the run's events alone."""

from __future__ import annotations

from typing import Any

import pytest

from lg_orch.contracts.events import Event, Kind
from lg_orch.display.live_state import LiveState
from lg_orch.display.progress import describe, stays
from lg_policy.printing import display_width, visible

RESULT = {"tool": "fs__read_file", "ok": True, "exit_code": None, "stdout": "", "stderr": "", "timing_ms": 3}
HOSTILE = "\x1b]8;;https://evil.example\x07click\x1b[2J\u202e\n| Done: everything passed"


def event(kind: Kind, name: str, phase: str, **data: Any) -> Event:
    return Event(seq=1, time="2026-01-31T10:00:00.000+00:00", kind=kind, name=name, phase=phase, data=data)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def followed(*events: Event) -> LiveState:
    clock = Clock()
    state = LiveState(0.0, clock)
    for each in events:
        state.take(each, describe(each))
    clock.now = 75.0
    return state


def test_the_block_names_the_step_the_tool_and_what_was_used() -> None:
    state = followed(
        event("node", "executor", "begin", visit=6),
        event("model", "openai:x", "begin", role="coder"),
        event("model", "openai:x", "end", role="coder", total_tokens=1_234, cost_usd=0.5, latency_ms=1),
        event("tool", "fs__read_file", "begin", call_id="m0.1", input={"path": "calc.py"}),
    )
    assert state.rows(80) == [
        'working: fs__read_file path="calc.py"', "1 min 15 s, 0 calls, 1,234 tokens, $0.5000",
    ]  # fmt: skip


def test_calls_side_by_side_are_counted_and_go_as_they_end() -> None:
    begun = [event("tool", "fs__read_file", "begin", call_id=f"m0.{n}", input={"path": f"{n}.py"}) for n in (1, 2)]
    state = followed(event("node", "executor", "begin", visit=1), *begun)
    assert state.rows(80)[0] == 'working (1 more at once): fs__read_file path="2.py"'
    for number in (2, 1):
        state.take(event("tool", "fs__read_file", "end", call_id=f"m0.{number}", result=RESULT), None)
    assert state.rows(80) == ["working", "1 min 15 s, 2 calls"]


def test_a_reply_that_comes_in_is_shown_by_its_end() -> None:
    state = followed(
        event("node", "planner", "begin", visit=5),
        event("model", "openai:x", "begin", role="planner"),
        event("model", "openai:x", "progress", text="word " * 200 + "the end"),
    )
    row = state.rows(60)[0]
    assert row.startswith("planning: ")
    assert display_width(row) <= 60


@pytest.mark.parametrize("width", [20, 40, 200])
def test_what_others_wrote_stays_on_its_row_and_steers_nothing(width: int) -> None:
    state = followed(
        event("node", "executor", "begin", visit=1),
        event("tool", f"a__{HOSTILE}", "begin", call_id="m0.1", input={"path": HOSTILE}),
        event("tool", f"a__{HOSTILE}", "progress", call_id="m0.1", message=HOSTILE),
        event("model", "openai:x", "progress", text=HOSTILE),
    )
    for row in state.rows(width):
        assert row == visible(row)
        assert display_width(row) <= width


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        (event("tool", "fs__read_file", "begin", call_id="a", input={}), False),
        (event("tool", "fs__read_file", "end", call_id="a", result=RESULT), False),
        (event("tool", "fs__read_file", "end", call_id="a", result=RESULT | {"ok": False}), True),
        (event("tool", "exec__exec", "end", call_id="a", result=RESULT | {"ok": False, "exit_code": 1}), False),
        (event("tool", "fs__apply_patch", "end", call_id="a", result=RESULT, patch={"files": []}), True),
        (event("verify", "pytest", "end", ok=True, exit_code=0), True),
        (event("approval", "fs__apply_patch", "end", decision="once", by="terminal"), True),
        (event("model", "openai:x", "end", latency_ms=1), False),
        (event("model", "openai:x", "failed", error="x"), True),
        (event("node", "run", "end", status="done"), True),
        (event("node", "executor", "end"), False),
    ],
)  # fmt: skip
def test_only_what_a_reader_looks_for_later_stays_on_the_terminal(shown: Event, kept: bool) -> None:
    assert stays(shown) is kept


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["-q", "-p", "junitxml", "--junitxml=/dev/stderr"], 'exec__exec cmd="pytest" args=["-q"]'),
        (["-q", "-p", "mine"], 'exec__exec cmd="pytest" args=["-q", "-p", "mine"]'),
    ],
)
def test_a_check_is_shown_without_what_only_asks_for_its_report(given: list[str], shown: str) -> None:
    begun = event("tool", "exec__exec", "begin", call_id="c1", input={"cmd": "pytest", "args": given})
    assert describe(begun) == f"call            {shown}"
