"""Puts the events of a run together: what ran when, what was thought, planned, checked and spent.

Events come from a journal that our own programs wrote, but what they hold was written by models, tools and
repositories: each text is cut, and a field that is not there or of another type is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

TEXT = 4_000
"""Characters of a text that are shown."""
BarKind = Literal["node", "call", "model", "wait"]


@dataclass(kw_only=True)
class Bar:
    """Something that took time. Times are seconds since the epoch; `end` is `None` while it goes on."""

    kind: BarKind
    label: str
    node: str
    start: float
    seq: int
    end: float | None = None
    failed: bool = False
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Said:
    """Something that a run or a model said."""

    seq: int
    time: float
    who: str
    text: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check and how it ended."""

    name: str
    ok: bool
    verdict: str
    summary: str
    output: str
    before: bool


@dataclass(kw_only=True)
class Story:
    """What happened in a run so far."""

    bars: list[Bar] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    plan: Mapping[str, Any] | None = None
    checks: list[Check] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    visits: dict[str, int] = field(default_factory=dict)
    current: str = ""
    """The node that is being visited."""
    doing: str = ""
    """What it does now."""
    tokens: int = 0
    cost_usd: float = 0.0
    requests: int = 0
    calls: int = 0
    first: float = 0.0
    last: float = 0.0
    _open: dict[str, Bar] = field(default_factory=dict)
    _outputs: dict[str, str] = field(default_factory=dict)


def story_of(events: Iterable[Mapping[str, Any]]) -> Story:
    """Return the story that events tell."""
    story = Story()
    for event in events:
        kind, data = str(event.get("kind")), event.get("data")
        at = seconds_of(event.get("time"))
        story.first = story.first or at
        story.last = at or story.last
        take = _TAKERS.get(kind)
        if take is not None:
            take(story, event, data if isinstance(data, Mapping) else {}, at)
    running = [bar for bar in story.bars if bar.end is None and bar.kind != "wait"]
    story.current = next((bar.node for bar in reversed(running) if bar.kind == "node"), "")
    story.doing = next((bar.label for bar in reversed(running) if bar.kind != "node"), "")
    return story


def cut(value: object, limit: int = TEXT) -> str:
    """Return a text, cut, with the number of characters that it had."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _node(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    name, phase = cut(event.get("name"), 80), event.get("phase")
    if name == "run":
        _run(story, str(phase), data, at)
    elif phase == "begin":
        story.visits[name] = story.visits.get(name, 0) + 1
        _begin(story, "node", f"node {name}", Bar(kind="node", label=name, node=name, start=at, seq=_seq(event)))
    elif phase == "end":
        _end(story, f"node {name}", at)


def _run(story: Story, phase: str, data: Mapping[str, Any], at: float) -> None:
    if phase == "resume":
        _end(story, "wait", at)
    elif phase == "end":
        for key in list(story._open):
            _end(story, key, at)
        if data.get("status") == "waiting":
            wait = Bar(kind="wait", label="waits for a person", node="", start=at, seq=0)
            _begin(story, "wait", "wait", wait)


def _tool(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    call = cut(data.get("call_id"), 200)
    key = f"call {call}"
    if event.get("phase") == "begin":
        story.calls += 1
        name, node = cut(event.get("name"), 80), cut(data.get("step"), 80)
        bar = Bar(kind="call", label=name, node=node, start=at, seq=_seq(event), detail=cut(data.get("why"), 200))
        _begin(story, "call", key, bar)
    elif event.get("phase") == "end":
        result = data.get("result")
        found = result if isinstance(result, Mapping) else {}
        _end(story, key, at, failed=found.get("ok") is False)
        story._outputs[cut(event.get("name"), 80)] = cut(
            "\n".join(filter(None, (_text(found.get("stdout")), _text(found.get("stderr")))))
        )


def _model(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    name, phase = cut(event.get("name"), 80), event.get("phase")
    key = f"model {name}"
    if phase == "begin":
        story.requests += 1
        bar = Bar(kind="model", label=name, node="", start=at, seq=_seq(event), detail=cut(data.get("role"), 40))
        _begin(story, "model", key, bar)
    elif phase in ("end", "failed"):
        _end(story, key, at, failed=phase == "failed")
        tokens = _number(data.get("total_tokens")) or sum(
            _number(data.get(part)) for part in ("prompt_tokens", "completion_tokens")
        )
        story.tokens += int(tokens)
        story.cost_usd += _number(data.get("cost_usd"))
        text = cut(data.get("text")) or cut(data.get("error"))
        if text:
            story.said.append(Said(seq=_seq(event), time=at, who=name, text=text, kind="model"))


def _thought(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    if event.get("name") == "graph":
        story.edges = mermaid_edges(_text(data.get("mermaid")))
        return
    plan = data.get("plan")
    if isinstance(plan, Mapping):
        story.plan = plan
    if data.get("text"):
        said = Said(seq=_seq(event), time=at, who=cut(event.get("name"), 80), text=cut(data["text"]), kind="thought")
        story.said.append(said)


def _verify(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], _at: float) -> None:
    if event.get("phase") not in ("end", "baseline"):
        return
    story.checks.append(
        Check(
            name=cut(data.get("name"), 200),
            ok=data.get("ok") is True,
            verdict=cut(data.get("verdict"), 40) or ("passed" if data.get("ok") is True else "failed"),
            summary=cut(data.get("summary"), 400),
            output=story._outputs.get(cut(data.get("tool"), 80), ""),
            before=event.get("phase") == "baseline",
        )
    )


def _approval(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    if event.get("phase") == "end":
        reason = f": {cut(data.get('reason'), 500)}" if data.get("reason") else ""
        text = f"{cut(event.get('name'), 80)}: {cut(data.get('decision'), 40)} by {cut(data.get('by'), 80)}{reason}"
        story.said.append(Said(seq=_seq(event), time=at, who="a person", text=text, kind="approval"))


def _error(story: Story, event: Mapping[str, Any], data: Mapping[str, Any], at: float) -> None:
    text = cut(data.get("text"))
    story.said.append(Said(seq=_seq(event), time=at, who=cut(event.get("name"), 80), text=text, kind="error"))


_TAKERS = {
    "node": _node, "tool": _tool, "model": _model, "thought": _thought, "verify": _verify, "approval": _approval,
    "error": _error,
}  # fmt: skip


def mermaid_edges(text: str) -> list[tuple[str, str]]:
    """Return the edges of a graph that LangGraph drew: `a --> b;` and `a -.-> b;`."""
    found = []
    for line in text[:20_000].split("\n"):
        parts = line.strip().rstrip(";").split(" ")
        if len(parts) >= 3 and parts[1].startswith("-") and parts[-2].endswith(">"):
            ends = (parts[0].strip("_")[:80], parts[-1].strip("_")[:80])
            if ends[0] not in ("start", "end") and ends[1] not in ("start", "end"):
                found.append(ends)
    return found[:500]


def _begin(story: Story, kind: str, key: str, bar: Bar) -> None:
    if kind in ("node", "model"):
        _end(story, key, bar.start)
    story._open[key] = bar
    story.bars.append(bar)


def _end(story: Story, key: str, at: float, *, failed: bool = False) -> None:
    bar = story._open.pop(key, None)
    if bar is not None:
        bar.end, bar.failed = at, bar.failed or failed


def _seq(event: Mapping[str, Any]) -> int:
    return int(_number(event.get("seq")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def seconds_of(value: object) -> float:
    """Return the moment that an event names, 0 for what names none."""
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return 0.0
