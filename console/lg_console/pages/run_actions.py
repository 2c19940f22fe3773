"""What a person may do on the page of a run: answer its questions, say something, stop, resume, fork, undo."""

from __future__ import annotations

import json
from urllib.parse import quote

from lg_console.drawing.diff import question_lines
from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import Person, Role
from lg_console.sources.runs import GOING_ON, RunQuestion, WholeRun
from lg_console.web.layout import state_word


def question_card(run: WholeRun, question: RunQuestion, person: Person) -> Markup:
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


def actions(run: WholeRun, person: Person) -> Markup | None:
    """Return what a person may do with a run; `None` for one who may only look."""
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
