"""Asks a human and keeps the answer: journalled when given, found again by key whatever happens in between.

Inside the graph an unanswered question is a LangGraph `interrupt`: the run is checkpointed and the process may end.
The answer is matched by the question's key alone, never by the order in which interrupts came, because LangGraph runs
a node again from its top and hands out resume values by position.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.text import code_span
from lg_orch.human.approvals import DECISIONS, AnswersTogether, Approver, HumanAnswer, Nobody, Question
from lg_orch.human.kept_answers import KeptAnswers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.human.question_texts import QuestionTexts
    from lg_orch.recording.event_bus import EventBus


ANSWER_KEPT = "Your answers to its server are kept. If the call is made again and asks exactly the same, it gets them."


class Inquiry:
    """The approver of one run in one process.

    `flags` answer at once, `person` only between two steps; `given` are answers that the journal holds already.
    """

    def __init__(
        self,
        bus: EventBus,
        *,
        flags: Approver | None = None,
        person: Approver | None = None,
        given: Mapping[str, HumanAnswer] | None = None,
        resumed: bool = False,
        kept: KeptAnswers | None = None,
        if_lost: tuple[str, HumanAnswer] | None = None,
        texts: QuestionTexts | None = None,
    ) -> None:
        """`if_lost` is a call and what a human says of it should its outcome turn out to have been lost before."""
        self._bus = bus
        self._flags = flags or Nobody()
        self._person = person or Nobody()
        self._given = dict(given or {})
        self._retry = resumed
        self._kept = kept or KeptAnswers()
        self._texts = texts
        self._if_lost = dict([if_lost] if if_lost is not None else ())

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Return the answer if there is one, else interrupt the graph. Raises LangGraph's `GraphInterrupt`."""
        from langgraph.types import interrupt

        verdict = self._take(question.key)
        if verdict is None:
            if question.kind == "outcome" and self._kept.any_of(question.call_id):
                question = replace(question, message=f"{question.message}\n{ANSWER_KEPT}")
            self._bus.emit("approval", question.tool, "begin", _described(question))
            self._keep_whole(question)
            self._kept.asked(question)
            verdict = self._known(question) or await self._flags.ask(question)
            if verdict is not None:
                self._keep(question, verdict)
        while verdict is None:
            # The value is some earlier answer's wake-up call when several were asked in this visit.
            interrupt(_described(question))
            verdict = self._take(question.key)
        return verdict

    async def ask_together(self, questions: Sequence[Question]) -> None:
        """Return once each has an answer, else interrupt the graph with all that are open. Raises `GraphInterrupt`.

        Each call finds its answer by its key when it is made.
        """
        from langgraph.types import interrupt

        asked: list[Question] = []
        for question in questions:
            if question.key in self._given:
                continue
            self._bus.emit("approval", question.tool, "begin", _described(question))
            self._keep_whole(question)
            self._kept.asked(question)
            verdict = self._known(question) or await self._flags.ask(question)
            if verdict is not None:
                self._keep(question, verdict)
            else:
                asked.append(question)
        while open_now := [question for question in asked if question.key not in self._given]:
            interrupt([_described(question) for question in open_now])

    def _keep_whole(self, question: Question) -> None:
        """Keep apart what the journal holds with something hidden in it."""
        shown = (question.message, json.dumps(dict(question.arguments)))
        if self._texts is not None and any(self._bus.mask(text) != text for text in shown):
            self._texts.keep(question)

    async def settle(self, question: Question) -> bool:
        """Tell whether an interrupted question has an answer now.

        A person who is here is asked, and the answer is journalled.
        """
        if question.key in self._given:
            return True
        verdict = await self._answer(question)
        if verdict is None:
            return False
        self._keep(question, verdict)
        return True

    async def settle_together(self, questions: Sequence[Question]) -> bool:
        """Tell whether all of several interrupted questions have an answer now.

        A person is asked once for all that the flags of this process leave open.
        """
        waiting = [question for question in questions if question.key not in self._given]
        if len(waiting) > 1 and isinstance(self._person, AnswersTogether):
            for question in waiting:
                by_flag = await self._flags.ask(question)
                if by_flag is not None:
                    self._keep(question, by_flag)
            waiting = [question for question in waiting if question.key not in self._given]
        if len(waiting) > 1 and isinstance(self._person, AnswersTogether):
            verdicts = await self._person.answer_together(waiting)
            for question, verdict in zip(waiting, verdicts or (), strict=False):
                self._keep(question, verdict)
            return verdicts is not None
        return all([await self.settle(question) for question in waiting])

    def _keep(self, question: Question, verdict: HumanAnswer) -> None:
        record(self._bus, question.tool, question.key, verdict)
        self._given[question.key] = verdict
        self._kept.answered(question.key, verdict)

    def _known(self, question: Question) -> HumanAnswer | None:
        """What was said before the question came: to the same one of a lost call, or for the case that it is lost."""
        if question.kind == "question":
            return self._kept.answer(question)
        return self._if_lost.pop(question.call_id, None) if question.lost_before else None

    async def _answer(self, question: Question) -> HumanAnswer | None:
        if question.kind == "elsewhere" and self._retry:
            # Whoever resumes such a run says that the answer may be there by now.
            self._retry = False
            return HumanAnswer(decision="again", by="resume")
        self._retry = False
        return await self._flags.ask(question) or await self._person.ask(question)

    def _take(self, key: str) -> HumanAnswer | None:
        """The answer; a request to try again counts once."""
        verdict = self._given.get(key)
        if verdict is not None and verdict.decision == "again":
            del self._given[key]
        return verdict


def record(bus: EventBus, tool: str, key: str, verdict: HumanAnswer) -> Event:
    """Journal an answer: from here on it counts, in whichever process the run continues."""
    return bus.emit("approval", tool, "end", {
        "key": key, "decision": verdict.decision, "by": verdict.by, "reason": verdict.reason,
        "arguments": dict(verdict.arguments) if verdict.arguments is not None else None,
    } | ({"keep": verdict.keep} if verdict.keep else {}))  # fmt: skip


def answers_of(events: Iterable[Event]) -> dict[str, HumanAnswer]:
    """Return the answers that a journal holds, by the key of their question."""
    return {
        str(event.data["key"]): HumanAnswer(
            decision=event.data["decision"],
            by=str(event.data["by"]),
            reason=str(event.data.get("reason") or ""),
            arguments=event.data.get("arguments"),
            keep=str(event.data.get("keep") or ""),
        )
        for event in events
        if event.kind == "approval" and event.phase == "end" and event.data["decision"] != "again"
    }


def kept_answers_of(events: Iterable[Event]) -> KeptAnswers:
    """Return what a journal holds of answers that may count once more."""
    kept = KeptAnswers()
    given = answers_of(events := tuple(events))
    for event in events:
        if event.kind == "approval" and event.phase == "begin":
            kept.asked(question_of(event.data))
        elif event.kind == "approval" and event.phase == "end" and str(event.data["key"]) in given:
            kept.answered(str(event.data["key"]), given[str(event.data["key"])])
    return kept


def open_questions(events: Iterable[Event]) -> list[Question]:
    """Return the questions of a journal that have no answer yet and whose call has not ended, oldest first.

    Of a call that was asked about again, such as after its first question expired, only the newest counts.
    """
    found: dict[str, Question] = {}
    for event in events:
        if event.kind == "approval" and event.phase == "begin":
            asked = question_of(event.data)
            found = {key: question for key, question in found.items() if question.call_id != asked.call_id}
            found[asked.key] = asked
        elif event.kind == "approval" and event.phase == "end":
            found.pop(str(event.data["key"]), None)
        elif event.kind == "tool" and event.phase == "end":
            ended = event.data["call_id"]
            found = {key: question for key, question in found.items() if question.call_id != ended}
    return list(found.values())


def of_same_turn(question: Question, questions: Iterable[Question]) -> list[Question]:
    """Return the question with the others of its turn, in their order."""
    return [each for each in questions if each == question or (question.turn and each.turn == question.turn)]


def question_of(payload: Mapping[str, Any], arguments: Mapping[str, Any] | None = None) -> Question:
    """Return the question that an interrupt or a journal line holds."""
    guides = tuple(map(str, payload.get("guides") or ()))
    return Question(**{**payload, "guides": guides, "arguments": arguments or {}})


def how_to_answer(run_id: str, question: Question, together: int = 1) -> str:
    """Return the commands that answer it, in a sentence; `together` calls of a turn are answered at once."""
    resume = f"lg-orch resume {run_id}"
    if question.kind == "outcome":
        return f"Answer with `{resume} --done`, `{resume} --not-done` or `{resume} --stop`."
    if question.kind == "question":
        return (
            f"Answer with `{resume} --answer JSON`, an object of these fields, or decline with `{resume} --deny`; "
            f"`{resume} --say TEXT` declines and says what to do. Add --not-done to have the call made again if its "
            "outcome was lost."
        )
    if question.kind == "elsewhere":
        return f"Once it is answered there, `{resume}` continues; `{resume} --deny` continues without the call."
    guides = ", ".join(map(code_span, question.guides))
    first = (
        f"This may change {guides}, which tells agents what to do, so `--yes` does not approve it. " if guides else ""
    )
    if together > 1:
        first += f"One answer counts for all {together} calls of the turn. "
    return first + (
        f"Answer with `{resume} --approve` or `{resume} --deny`; `{resume} --say TEXT` denies it and says what to do."
    )


def fits(question: Question, verdict: HumanAnswer) -> bool:
    """Tell whether this answers a question of that kind."""
    return verdict.decision in DECISIONS[question.kind]


def _described(question: Question) -> dict[str, Any]:
    names = ("tool", "builtin", "message", "key", "kind", "call_id")
    described = {name: getattr(question, name) for name in names}
    if question.guides:
        described["guides"] = list(question.guides)
    if question.turn:
        described["turn"] = question.turn
    if question.always:
        described["always"] = dict(question.always)
    return described | ({"form": dict(question.form)} if question.form else {})
