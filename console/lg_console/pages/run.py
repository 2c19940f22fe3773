"""The page of one run: how it stands, what it asks, graph and timeline, what it thought, changed and checked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from lg_console.drawing.diff import diff_picture, question_lines
from lg_console.drawing.gantt import SHOWN, gantt_picture
from lg_console.drawing.graph import graph_picture
from lg_console.drawing.story import Check, Said, Story, cut
from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import Person, Role
from lg_console.sources.runs import GOING_ON, RunQuestion, UndoShown, WholeRun
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, age, empty, framed, moment, state_word

TABS = ("thoughts", "plan", "diff", "checks", "artifacts", "report", "log")
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

    def query(self, **changed: str) -> str:
        """Return the address of this look with something changed."""
        return "?" + urlencode({"tab": self.tab, "show": self.show} | changed)


def run_page(console: Console, person: Person, run: WholeRun, story: Story, look: RunLook, mark: str) -> str:
    """Return the page."""
    summary = run.summary
    topics = (f"run:{summary.run_id}",) if summary.state in GOING_ON or summary.undo == "queued" else ()
    frame = PageFrame(
        title=f"{summary.state}: {summary.request[:60]}",
        path="/runs",
        person=person,
        topics=topics,
        script="runs.js",
        marks=mark,
    )
    graph = graph_picture(story.edges, story.visits, story.current)
    gantt = gantt_picture(story.bars, look.show)
    return framed(
        console,
        frame,
        tag("p", tag("a", "All runs", href="/runs"), f" / {summary.run_id}"),
        tag("div", *_head(run, story), id="run-head", data_live=True),
        tag("div", *[_question(run, question, person) for question in run.questions], id="questions", data_live=True),
        _actions(run, person),
        tag("h2", "Graph"),
        tag("div", graph or empty("The graph is not known yet."), id="graph", data_live=True),
        tag("h2", "Timeline"),
        _chips(look),
        tag("div", gantt or empty("Nothing of this kind ran yet."), id="timeline", data_live=True),
        _tabs(run, story, look),
        tag("div", _tab(run, story, look), id="tab", data_live=True),
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
    now = story.last if summary.state not in GOING_ON else time.time()
    doing = f"{story.current}: {story.doing}" if story.doing else story.current
    spent = (
        f"{story.tokens or summary.tokens:,} tokens, ${story.cost_usd or summary.cost_usd:.4f}, {story.calls} calls,"
        f" {story.requests} model requests, {age(max(0.0, now - story.first))}"
    )
    facts: list[tuple[str, Child]] = [
        ("State", [state_word(summary.state), ", stopping" if summary.stopping else ""]),
        ("Now", doing if summary.state == "running" else ""),
        ("Repository", summary.repository),
        ("By", [summary.created_by, " ", moment(summary.created)]),
        ("Model", summary.model),
        ("Spent", spent),
        ("Taken up", f"{summary.epoch} times" if summary.epoch > 1 else ""),
        ("Forked from", summary.forked_from),
        ("Undo", summary.undo),
    ]
    rows = [[tag("dt", name), tag("dd", value)] for name, value in facts if value]
    return [tag("h1", cut(summary.request, 400)), tag("dl", *rows, class_="facts-list")]


def _question(run: WholeRun, question: RunQuestion, person: Person) -> Markup:
    """Return one question whole, with the answers that may be given here."""
    lines = question.message.count("\n") + 1
    words = {
        "approve": "Approve once", "approve_for_run": "For this run", "deny": "Deny", "done": "It was done",
        "not_done": "It was not done", "stop": "Stop the run", "again": "Do it again",
    }  # fmt: skip
    address = f"/v1/runs/{quote(run.summary.run_id, safe='')}/answer"
    buttons = [
        tag(
            "button",
            words[decision],
            type="button",
            data_answer=address,
            data_fields=json.dumps({"question": question.key, "decision": decision}),
            class_="deny" if decision == "deny" else "primary" if decision == "approve" else None,
        )
        for decision in question.decisions
        if decision in words
    ]
    reason = tag("label", "Reason, which the run reads", tag("input", name="reason", maxlength="500"))
    title = f"question-{question.key}"
    return tag(
        "article",
        tag("h2", state_word("waits"), " ", tag("code", question.tool), id=title),
        tag("p", f"{lines} of {lines} lines", class_="lines"),
        tag(
            "pre",
            *question_lines(question.message.split("\n")),
            tabindex="0",
            class_="question",
            role="region",
            aria_label="The whole question",
        ),
        tag(
            "form",
            reason,
            tag("div", *buttons, class_="buttons"),
            tag("p", "", class_="problem", role="alert"),
            class_="answer",
        )
        if person.has(Role.APPROVER) and buttons
        else tag("p", "Answer it at a terminal.", class_="note"),
        class_="card",
        tabindex="-1",
        aria_labelledby=title,
    )


def _actions(run: WholeRun, person: Person) -> Markup | None:
    summary = run.summary
    if not person.has(Role.APPROVER):
        return None
    address = f"/v1/runs/{quote(summary.run_id, safe='')}"
    parts: list[Child] = []
    if summary.state in GOING_ON or summary.state == "interrupted":
        parts.append(
            tag(
                "form",
                tag("label", "Say something to the run", tag("input", name="text", required=True, maxlength="20000")),
                tag("button", "Say"),
                tag("p", "", class_="problem", role="alert"),
                data_send=f"{address}/say",
            )
        )
    if person.has(Role.OPERATOR):
        if summary.state in GOING_ON:
            parts.append(_button("Stop", f"{address}/cancel", "deny"))
        if not summary.finished and summary.state not in ("queued", "running"):
            parts.append(_button("Resume", f"{address}/resume"))
        if run.steps:
            parts.append(_fork(run, address))
        if run.patch and summary.state not in ("queued", "running"):
            parts.append(
                tag("p", tag("a", "Undo, with a preview", href=f"/runs/{quote(summary.run_id, safe='')}/undo"))
            )
    return tag("details", tag("summary", "Act on this run"), *parts, class_="card", id="actions") if parts else None


def _fork(run: WholeRun, address: str) -> Markup:
    return tag(
        "form",
        tag(
            "label",
            f"Fork after step (1 to {run.steps[-1]})",
            tag("input", name="step", type="number", min="1", max=str(run.steps[-1]), value=str(run.steps[-1])),
        ),
        tag("label", "and say", tag("input", name="say", maxlength="20000")),
        tag("button", "Fork"),
        tag("p", "", class_="problem", role="alert"),
        data_send=f"{address}/fork",
        data_to="/runs/",
    )


def _button(word: str, address: str, kind: str = "") -> Markup:
    return tag(
        "p",
        tag("button", word, type="button", data_post=address, class_=kind or None),
        tag("span", "", class_="problem", role="alert"),
    )


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
        for name in TABS
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
