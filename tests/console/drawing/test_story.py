"""A run's events put together, drawn, and bounded, whatever they hold."""

from __future__ import annotations

from typing import Any

from lg_console.drawing.gantt import BARS, CUT_PX, LABEL, WIDTH, gantt_picture, scale_of
from lg_console.drawing.graph import graph_picture, layers_of
from lg_console.drawing.story import Bar, mermaid_edges, story_of

EDGES = [("ingest", "router"), ("router", "planner"), ("planner", "executor"), ("executor", "verifier")]
EDGES += [("verifier", "planner"), ("executor", "executor"), ("verifier", "reporter"), ("ingest", "reporter")]


def event(seq: int, second: float, kind: str, name: str, phase: str, **data: Any) -> dict[str, Any]:
    time = f"2026-11-30T10:{int(second) // 60:02}:{second % 60:06.3f}+00:00"
    return {"seq": seq, "time": time, "kind": kind, "name": name, "phase": phase, "data": data}


def test_layers_follow_the_way_of_a_run_and_ignore_ways_back() -> None:
    layers = layers_of(EDGES)
    assert [layer[0] for layer in layers] == ["ingest", "router", "planner", "executor", "verifier", "reporter"]
    picture = graph_picture(EDGES, {"executor": 7}, "executor")
    assert picture is not None
    assert "▸ executor x7" in picture
    assert graph_picture([], {}, "") is None


def test_the_edges_of_a_drawn_graph_are_read_and_rubbish_is_not() -> None:
    text = (
        "graph TD;\n\t__start__ --> ingest;\n\tingest -.-> router;\n\trouter -. x .-> planner;\n<script> --\nclassDef a"
    )
    assert mermaid_edges(text) == [("ingest", "router"), ("router", "planner")]


def test_a_story_has_bars_spending_thoughts_and_what_goes_on() -> None:
    story = story_of([
        event(1, 0, "node", "executor", "begin"),
        event(2, 1, "tool", "fs__read_file", "begin", call_id="a", step="executor"),
        event(3, 2, "tool", "fs__read_file", "end", call_id="a", result={"ok": False, "stdout": "no such file"}),
        event(4, 2, "model", "openai:x", "begin", role="coder"),
        event(5, 4, "model", "openai:x", "end", prompt_tokens=10, completion_tokens=5, cost_usd=0.5, text="done"),
        event(6, 5, "tool", "exec__exec", "begin", call_id="b", step="executor"),
    ])  # fmt: skip
    assert (story.tokens, story.cost_usd, story.calls, story.requests) == (15, 0.5, 2, 1)
    assert (story.current, story.doing) == ("executor", "exec__exec")
    assert [bar.failed for bar in story.bars] == [False, True, False, False]
    assert [entry.text for entry in story.said] == ["done"]


def test_events_of_any_shape_are_taken() -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"kind": "tool", "data": None},
        {"kind": "node", "name": 3, "phase": "begin", "time": "never"},
    ]
    odd += [{"kind": "model", "phase": "end", "data": {"cost_usd": "much", "prompt_tokens": True}}]
    odd += [{"kind": "verify", "phase": "end", "data": {"name": ["x"], "ok": "yes"}}]
    odd += [{"kind": "thought", "data": {"plan": [], "text": {"a": 1}}}]
    story = story_of(odd)
    assert gantt_picture(story.bars, "all", 1.0) is not None
    assert not story.checks[0].ok


def test_long_idle_time_is_cut_and_said_and_many_bars_are_folded() -> None:
    bars = [Bar(kind="node", label="a", node="a", start=0, end=10, seq=1)]
    bars += [Bar(kind="node", label="b", node="b", start=730, end=740, seq=2)]
    scale = scale_of(bars, 740)
    assert len(scale.cuts) == 1
    assert round(scale.x(730) - scale.x(10)) == CUT_PX
    assert LABEL <= scale.x(0) < scale.x(740) <= WIDTH
    many = [Bar(kind="call", label="t", node="executor", start=n, end=n + 1, seq=n) for n in range(2_000)]
    picture = gantt_picture(many, "all", 2_001.0)
    assert picture is not None
    assert picture.count("<rect") == BARS
    assert f"executor: t x{2_000 - BARS}" in picture
