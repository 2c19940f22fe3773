"""The page of questions: what waits, whole, with the answers that may be given; below it what was decided."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import quote

from lg_console.drawing.diff import question_lines
from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_console.sources.questions import Choice, Question
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, age, empty, fitting, framed, moment, state_word

DECIDED = 20
"""Decided questions below those that wait."""
WAITING = 30
"""Questions that wait, on one page: the oldest. The others follow as these are answered."""
WAITING_CHARACTERS = 100_000
"""Of the cards of these."""
STATES = {
    "approved": "approved",
    "used": "approved and used",
    "denied": "denied",
    "expired": "expired, nobody answered",
}


def approvals_page(
    console: Console, person: Person, waiting: Sequence[Question], decided: Sequence[Question], mark: str
) -> str:
    """Return the page."""
    oldest = f", oldest {age(time.time() - waiting[0].created)}" if waiting else ""
    frame = PageFrame(
        title=f"({len(waiting)}) Approvals" if waiting else "Approvals",
        path="/approvals",
        person=person,
        topics=("approvals",),
        script="approvals.js",
        marks=mark,
    )
    shown = _fitting(waiting, person)
    nothing = empty("No question waits for an answer.", "It appears here by itself as soon as an agent asks.")
    return framed(
        console,
        frame,
        tag(
            "div",
            tag("h1", "Approvals ", tag("span", f"{len(waiting):,}{oldest}", class_="count", id="waiting-count")),
            tag("button", "Notify me", type="button", id="notify", hidden=True),
            class_="bar",
        ),
        tag("div", *([_turn(turn, person) for turn in _turns(shown)] or [nothing]), id="waiting"),
        tag(
            "p",
            f"{len(waiting) - len(shown):,} more wait. They appear as these are answered."
            if len(shown) < len(waiting)
            else "",
            class_="note",
            id="more",
        ),
        tag("h2", "Decided"),
        tag(
            "div", *([_decided(question) for question in decided] or [empty("Nothing was decided yet.")]), id="decided"
        ),
    )


def approval_page(console: Console, person: Person, question: Question, mark: str) -> str:
    """Return the page of one question."""
    frame = PageFrame(
        title=f"{question.id} {question.state}",
        path="/approvals",
        person=person,
        topics=("approvals",) if question.waiting else (),
        script="approvals.js",
        marks=mark,
    )
    return framed(
        console,
        frame,
        tag("p", tag("a", "All questions", href="/approvals")),
        tag("h1", f"Question {question.id}"),
        tag("div", card(question, person), id="waiting"),
    )


def card(question: Question, person: Person) -> Markup:
    """Return one question: whole, and as far as this person may answer, with buttons."""
    lines = question.text.split("\n")
    label = f"{question.id}-title"
    return tag(
        "article",
        tag(
            "h3",
            state_word(question.state),
            " ",
            tag("code", question.tool),
            " ",
            tag("a", question.id, href=f"/approvals/{question.id}"),
            id=label,
        ),
        tag("p", *_facts(question), class_="facts"),
        tag("p", f"{len(lines)} of {len(lines)} lines", class_="lines"),
        tag(
            "pre",
            *question_lines(lines),
            tabindex="0",
            role="region",
            aria_label=f"The whole question {question.id}",
            class_="question",
        ),
        _answers(question, person) if question.waiting else _ended(question),
        class_="card",
        id=f"q-{question.id}",
        tabindex="-1",
        data_id=question.id,
        data_state=question.state,
        aria_labelledby=label,
    )


def _fitting(waiting: Sequence[Question], person: Person) -> Sequence[Question]:
    """Return the oldest questions that a page has room for: each is shown whole."""
    cards = (card(question, person) for question in waiting)
    return waiting[: len(fitting(cards, most=WAITING, room=WAITING_CHARACTERS))]


def _turns(waiting: Sequence[Question]) -> list[list[Question]]:
    """Return the questions of each turn, the turn that waits longest first."""
    turns: dict[tuple[str, str, str], list[Question]] = {}
    for question in waiting:
        turns.setdefault(question.turn, []).append(question)
    return list(turns.values())


def _turn(turn: Sequence[Question], person: Person) -> Markup:
    """Return the questions of one caller in one run, with answers for all of them together."""
    several = len(turn) > 1 and all(_may_answer(question, person) for question in turn)
    together: Child = None
    if several:
        together = tag(
            "div",
            tag("span", f"{len(turn)} questions of one turn: "),
            tag("button", f"Approve all {len(turn)} once", type="button", data_all="once"),
            tag("button", f"Deny all {len(turn)}", type="button", data_all="deny"),
            class_="together",
        )
    return tag("section", together, *[card(question, person) for question in turn], class_="turn")


def _facts(question: Question) -> list[Child]:
    left = question.expires - time.time()
    found: list[Child] = [f"asked by {question.identity}"]
    found += [f", client {question.client}"] if question.client else []
    if question.run_id:
        run = f"run {question.run_id}"
        found += [", ", tag("a", run, href=f"/runs/{quote(question.run_id, safe='')}") if question.of_run else run]
    found += [f", {age(time.time() - question.created)} ago"]
    found += [f", {age(left)} left"] if question.waiting and left > 0 else []
    return [*found, tag("br"), f"in {question.where}"]


def _may_answer(question: Question, person: Person) -> bool:
    needed = Role.OPERATOR if question.operator_only else Role.APPROVER
    return not question.answer_at and question.rights(person).has(needed)


def _refused(question: Question, person: Person) -> Markup:
    """Return why somebody cannot answer here, and who can."""
    if question.answer_at:
        return tag("p", tag("a", "Answer it at its run", href=question.answer_at), ".", class_="note")
    needed = Role.OPERATOR if question.operator_only else Role.APPROVER
    if person.by is LoggedInBy.RUN_TOKEN:
        why = "A token of the run service does not answer what other clients ask. Log in by the link at the terminal,"
        return tag("p", f"{why} or with an operator's token of the gateway.", class_="note")
    return tag("p", f"You are {question.rights(person).role}; only an {needed} may answer this.", class_="note")


def _answers(question: Question, person: Person) -> Markup:
    if not _may_answer(question, person):
        return _refused(question, person)
    person = question.rights(person)
    reason = f"reason-{question.id}"
    buttons: list[Child] = [
        tag("button", "Deny", type="button", data_decide="deny", class_="deny"),
        tag("button", "Approve once", type="button", data_decide="once", class_="primary"),
    ]
    if question.run_id:
        buttons.append(tag("button", "For this run", type="button", data_decide="run"))
    if question.in_session:
        buttons.append(tag("button", "Until its client ends", type="button", data_decide="session"))
    if person.manages and not question.operator_only:
        buttons += [_always(question, choice) for choice in question.choices]
    return tag(
        "form",
        tag("label", "Reason, which the caller reads", for_=reason),
        tag("input", id=reason, name="reason", maxlength="500", autocomplete="off"),
        tag("div", *buttons, class_="buttons"),
        tag("p", "", class_="problem", role="alert"),
        class_="answer",
    )


def _always(question: Question, choice: Choice) -> Markup:
    """Return the button of a rule, and the rule as it would be written, which is shown before anything is."""
    title = f"rule-{question.id}-{choice.kind}"
    return tag(
        "span",
        tag("button", f"Always: {choice.words} …", type="button", data_draft=title),
        tag(
            "dialog",
            tag("h3", "Write this rule?", id=f"{title}-title"),
            tag("p", "It would be added to ", tag("code", choice.place)),
            tag("pre", choice.rule, tabindex="0"),
            tag("button", "Write it and approve", type="button", data_decide=choice.kind, class_="primary"),
            tag("button", "Change nothing", type="button", data_close=title),
            id=title,
            aria_labelledby=f"{title}-title",
        ),
    )


def _ended(question: Question) -> Markup:
    by = f" by {question.decided_by}" if question.decided_by else ""
    kept = f", kept for: {question.kept}" if question.kept else ""
    reason = f". Reason: {question.reason}" if question.reason else ""
    return tag("p", f"{STATES.get(question.state, question.state)}{by}{kept}{reason}", class_="ended")


def _decided(question: Question) -> Markup:
    return tag(
        "details",
        tag(
            "summary",
            state_word(question.state),
            " ",
            tag("code", question.tool),
            f" {STATES.get(question.state, question.state)}",
            f" by {question.decided_by}" if question.decided_by else "",
            " ",
            moment(question.created),
        ),
        tag(
            "p", tag("a", f"Question {question.id}", href=f"/approvals/{question.id}"), " asked by ", question.identity
        ),
        tag("p", f"Reason: {question.reason}") if question.reason else None,
        class_="decided",
    )
