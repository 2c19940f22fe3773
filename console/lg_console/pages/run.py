"""The page of one run: how it stands, what it asks, graph and timeline, what it thought, changed and checked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from lg_console.drawing.diff import diff_picture
from lg_console.drawing.gantt import SHOWN, gantt_picture
from lg_console.drawing.graph import graph_picture
from lg_console.drawing.story import Check, Said, Story, cut, story_of
from lg_console.markup.elements import Child, Markup, tag
from lg_console.pages.replay import replay_bar, replayed
from lg_console.pages.run_actions import actions, question_card
from lg_console.sources.people import Person, Role
from lg_console.sources.runs import GOING_ON, RunSummary, UndoShown, WholeRun
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, age, copyable, empty, framed, moment, state_word

TABS = ("thoughts", "plan", "diff", "checks", "artifacts", "report", "log")
REPLAYED = ("thoughts", "plan", "checks", "log")
"""Parts that a replay shows: the others are kept only as they are now."""
SAID = 200
"""Newest thoughts on the page."""
LOG = 500
"""Events of the log on one page."""
TAB_CHARACTERS = 50_000
"""Of thoughts, checks, log or diff on the page: the newest come first, and the page says where the rest is."""


@dataclass(frozen=True, kw_only=True)
class RunLook:
    """Which part of a run a person looks at: the tab, which bars, and which events of the log."""

    tab: str = "thoughts"
    show: str = "all"
    before: int | None = None
    at: int | None = None
    """In a replay, the number of events that have happened."""

    def query(self, **changed: str) -> str:
        """Return the address of this look with something changed."""
        place = {"at": str(self.at)} if self.at is not None else {}
        return "?" + urlencode({"tab": self.tab, "show": self.show} | place | changed)


def run_page(console: Console, person: Person, run: WholeRun, look: RunLook, mark: str) -> str:
    """Return the page. A replay shows the run as it stood, and nothing that changes it."""
    summary, replay, whole = run.summary, None, run
    if look.at is not None:
        run, replay = replayed(run, look.at)
    live = replay is None and (summary.state in GOING_ON or summary.undo == "queued")
    frame = PageFrame(
        title=f"{summary.state}: {summary.request[:60]}",
        path="/runs",
        person=person,
        topics=(f"run:{summary.run_id}",) if live else (),
        script="runs.js" if replay is None else "replay.js",
        marks=mark,
    )
    story = story_of(run.events)
    graph = graph_picture(story.edges, story.visits, story.current)
    gantt = gantt_picture(story.bars, look.show, story.last if replay is not None else None)
    return framed(
        console,
        frame,
        _way(whole, look),
        replay_bar(replay, look.tab, look.show) if replay is not None else None,
        tag("div", *_head(run, story), id="run-head", data_live=True, **_named(summary)),
        tag(
            "div", *[question_card(run, question, person) for question in run.questions], id="questions", data_live=True
        ),
        actions(run, person) if replay is None else None,
        tag("h2", "Graph"),
        tag("div", graph or empty("The graph is not known yet."), id="graph", data_live=True),
        tag("h2", "Timeline"),
        _chips(look),
        tag("div", gantt or empty("Nothing of this kind ran yet."), id="timeline", data_live=True),
        _tabs(run, story, look),
        tag("div", _tab(run, story, look), id="tab", data_live=True),
    )


def _named(summary: RunSummary) -> dict[str, str]:
    return {"data_state": summary.state, "data_run": summary.run_id}


def _way(run: WholeRun, look: RunLook) -> Markup:
    """Return where one is, and the other ways to look at this run."""
    address = f"/runs/{quote(run.summary.run_id, safe='')}"
    ways: list[Child] = []
    if look.at is not None:
        ways.append(tag("a", "Leave the replay", href=address, class_="button"))
    elif run.events:
        ways.append(tag("a", "Replay", href=f"{address}?at=1"))
    ways.append(tag("a", "Save as HTML", href=f"{address}/export", download=True))
    if run.summary.forked_from:
        other = quote(run.summary.forked_from, safe="")
        ways.append(tag("a", "Compare with what it was forked from", href=f"{address}/compare/{other}"))
    notify = tag("button", "Notify me", type="button", id="notify", hidden=True)
    return tag(
        "div",
        tag("p", tag("a", "All runs", href="/runs"), " / ", copyable(run.summary.run_id)),
        tag("nav", *ways, notify if look.at is None else None, class_="ways", aria_label="This run"),
        class_="bar",
    )


def undo_page(console: Console, person: Person, run: WholeRun, shown: UndoShown) -> str:
    """Return what an undo would do, with the button that does it."""
    summary = run.summary
    frame = PageFrame(title="Undo", path="/runs", person=person, script="runs.js")
    button = tag(
        "form",
        tag("button", "Undo these changes", class_="deny"),
        tag("p", "", class_="problem", role="alert"),
        data_send=f"/v1/runs/{quote(summary.run_id, safe='')}/undo",
        data_fields=json.dumps({"change_sets": shown.change_sets}),
        data_to=f"/runs/{quote(summary.run_id, safe='')}",
    )
    return framed(
        console,
        frame,
        tag("p", tag("a", "Back to the run", href=f"/runs/{quote(summary.run_id, safe='')}")),
        tag("h1", "Undo what this run changed?"),
        diff_picture(shown.diff) if shown.diff else empty("The run changed nothing that still stands."),
        *[tag("p", f"Not covered: {text}", class_="problem") for text in shown.uncovered],
        button if shown.diff and person.has(Role.OPERATOR) else None,
    )


def _head(run: WholeRun, story: Story) -> list[Child]:
    summary = run.summary
    now = time.time() if summary.state in GOING_ON else story.last
    doing = f"{story.current}: {story.doing}" if story.doing else story.current
    facts: list[tuple[str, Child]] = [
        ("Now", doing if summary.state in ("running", "replay") else ""),
        ("Repository", summary.repository),
        ("By", [summary.created_by, ", ", moment(summary.created)]),
        ("Model", summary.model),
        ("Taken up", f"{summary.epoch} times" if summary.epoch > 1 else ""),
        ("Forked from", summary.forked_from),
        ("Undo", summary.undo),
    ]
    figures = (
        ("State", [state_word(summary.state), ", stopping" if summary.stopping else ""]),
        ("Time", age(max(0.0, now - story.first)) if story.first else "-"),
        ("Tokens", f"{story.tokens or summary.tokens:,}"),
        ("Cost", f"${story.cost_usd or summary.cost_usd:.4f}"),
        ("Calls", f"{story.calls:,}"),
        ("Model requests", f"{story.requests:,}"),
    )
    return [
        tag("h1", cut(summary.request, 400)),
        tag("dl", *[tag("div", tag("dt", name), tag("dd", value)) for name, value in figures], class_="figures"),
        tag("dl", *[[tag("dt", name), tag("dd", value)] for name, value in facts if value], class_="facts-list"),
    ]


def _chips(look: RunLook) -> Markup:
    links = [
        tag("a", name, href=look.query(show=name), aria_current="true" if look.show == name else None) for name in SHOWN
    ]
    return tag("nav", *links, class_="tabs", aria_label="Which bars")


def _tabs(run: WholeRun, story: Story, look: RunLook) -> Markup:
    failed = sum(not check.ok and not check.before for check in story.checks)
    counts = {"diff": run.patch.count("\ndiff --git") + (1 if run.patch else 0), "artifacts": len(run.artifacts)}
    words = {"checks": f" {failed} failed" if failed else ""} | {name: f" {n}" for name, n in counts.items() if n}
    links = [
        tag(
            "a",
            name.capitalize() + words.get(name, ""),
            href=look.query(tab=name) + "#tab",
            aria_current="true" if look.tab == name else None,
        )
        for name in (TABS if look.at is None else REPLAYED)
    ]
    return tag("nav", *links, class_="tabs", aria_label="Parts of the run")


def _tab(run: WholeRun, story: Story, look: RunLook) -> Child:
    if look.tab == "plan":
        return plan_view(story.plan)
    if look.tab == "diff":
        if not run.patch:
            return empty("The run has changed nothing that still stands.")
        return diff_picture(run.patch, TAB_CHARACTERS)
    if look.tab == "checks":
        checks = _newest([check_view(check) for check in story.checks])
        return [_rest(len(story.checks) - len(checks)), *checks] if checks else empty("Nothing was checked yet.")
    if look.tab == "artifacts":
        return _artifacts(run)
    if look.tab == "report":
        report = run.summary.report
        return tag("pre", report, class_="wrap", tabindex="0") if report else empty("There is no report yet.")
    if look.tab == "log":
        return _log(run, look)
    said = _newest([said_view(entry) for entry in story.said[-SAID:]])
    return (
        [_rest(len(story.said) - len(said)), tag("ol", *said, class_="said")]
        if said
        else empty("Nothing was said yet.")
    )


def _newest(parts: Sequence[Markup]) -> list[Markup]:
    """Return the last parts that a page has room for, at least one."""
    room, kept = TAB_CHARACTERS, list[Markup]()
    for part in reversed(parts):
        room -= len(part)
        if kept and room < 0:
            break
        kept.append(part)
    return kept[::-1]


def _rest(older: int) -> Markup | None:
    return tag("p", f"{older} older ones are in the log.", class_="note") if older > 0 else None


def said_view(entry: Said) -> Markup:
    """Return something that was said."""
    kind = {"error": "failed", "approval": "approved", "model": "done"}.get(entry.kind, "")
    return tag(
        "li", tag("strong", state_word(kind, entry.who)), " ", tag("pre", entry.text, class_="wrap"), value=entry.seq
    )


def plan_view(plan: Mapping[str, Any] | None) -> Markup:
    """Return a plan."""
    if plan is None:
        return empty("There is no plan yet.")
    steps = [step for step in _list(plan.get("steps")) if isinstance(step, Mapping)]
    shown = [
        tag("li", cut(step.get("description"), 2_000), *[tag("br"), tag("code", ", ".join(files))] if files else [])
        for step in steps[:100]
        for files in ([cut(name, 200) for name in _list(step.get("files_touched"))[:20]],)
    ]
    accepted = [tag("li", cut(text, 1_000)) for text in _list(plan.get("acceptance"))[:50]]
    return tag(
        "div",
        tag("ol", *shown),
        [tag("h3", "Accepted when"), tag("ul", *accepted)] if accepted else None,
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def check_view(check: Check) -> Markup:
    """Return one check with its output."""
    when = "before the change" if check.before else "after it"
    return tag(
        "details",
        tag(
            "summary",
            state_word("passed" if check.ok else "failed", check.verdict),
            " ",
            tag("code", check.name),
            f" {when}: {check.summary}",
        ),
        tag("pre", check.output, tabindex="0", class_="wrap"),
        class_="decided",
        open=not check.ok and not check.before,
    )


def _artifacts(run: WholeRun) -> Markup:
    if not run.artifacts:
        return empty("There are no files yet.")
    base = f"/v1/runs/{quote(run.summary.run_id, safe='')}/artifacts/"
    rows = [
        tag("li", tag("a", artifact.name, href=base + quote(artifact.name), download=True), f": {artifact.what}")
        for artifact in run.artifacts
    ]
    return tag("ul", *rows)


def _log(run: WholeRun, look: RunLook) -> Child:
    events = [event for event in run.events if look.before is None or int(event.get("seq") or 0) < look.before]
    rows = _newest(
        [
            tag(
                "details",
                tag("summary", " ".join(str(event.get(name)) for name in ("seq", "time", "kind", "name", "phase"))),
                tag("pre", cut(json.dumps(event.get("data"), indent=2, ensure_ascii=False)), class_="wrap"),
            )
            for event in events[-LOG:]
        ]
    )
    shown = events[-len(rows) :] if rows else []
    older = None
    if len(events) > len(shown):
        older = tag("p", tag("a", "Older", href=look.query(tab="log", before=str(shown[0].get("seq"))) + "#tab"))
    return [older, tag("p", f"{len(shown)} of {len(run.events)} events", class_="lines"), *rows]
