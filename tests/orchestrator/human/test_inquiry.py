from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lg_orch.contracts.events import Event
from lg_orch.human.approvals import DECISIONS, Decision, HumanAnswer, Nobody, Question, by_flags
from lg_orch.human.inquiry import Inquiry, answers_of, fits, open_questions
from lg_orch.recording.event_bus import EventBus
from lg_orch.recording.journal import Journal, read_journal
from lg_policy.secrets.masking import Masker

pytestmark = pytest.mark.anyio

ASKED = Question(tool="fs__apply_patch", builtin=True, message="may it?", key="approve.1", call_id="c1")


@pytest.fixture
def bus(tmp_path: Path) -> EventBus:
    return EventBus(Journal(tmp_path / "journal.jsonl"), Masker(b"k" * 32))


def events(tmp_path: Path) -> list[Event]:
    return read_journal(tmp_path / "journal.jsonl")


def event(of: Any, phase: str, **data: Any) -> Event:
    return Event(seq=1, time="2026-01-01T00:00:00+00:00", kind=of, name="fs__apply_patch", phase=phase, data=data)


def begun(key: str, call_id: str) -> Event:
    return event("approval", "begin", tool="t", builtin=True, message="?", key=key, kind="approval", call_id=call_id)


async def test_a_flag_answers_at_once_and_the_answer_is_kept_for_every_later_process(
    tmp_path: Path, bus: EventBus
) -> None:
    first = await Inquiry(bus, flags=by_flags(yes=True, deny_all=False)).ask(ASKED)
    again = await Inquiry(bus, given=answers_of(events(tmp_path))).ask(ASKED)
    assert first == again == HumanAnswer(decision="once", by="--yes")
    assert [(one.kind, one.phase) for one in events(tmp_path)] == [("approval", "begin"), ("approval", "end")]


class Together:
    """A person who is shown several questions at once, and says yes for the run to all of them."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def ask(self, question: Question) -> HumanAnswer:
        self.shown.append(question.key)
        return HumanAnswer(decision="run", by="terminal")

    async def answer_together(self, questions: Sequence[Question]) -> list[HumanAnswer]:
        return [await self.ask(question) for question in questions]


@pytest.mark.parametrize(("yes", "deny", "shown"), [(True, False, ["k3", "k4"]), (False, True, []), (True, False, [])])
async def test_flags_given_to_resume_answer_the_questions_of_one_turn_before_a_person_is_asked(
    tmp_path: Path, bus: EventBus, yes: bool, deny: bool, shown: list[str]
) -> None:
    own = [replace(ASKED, key=key, call_id=key, turn="t1") for key in ("k1", "k2")]
    foreign = [replace(ASKED, key=key, call_id=key, turn="t1", builtin=False) for key in ("k3", "k4")]
    person = Together()
    inquiry = Inquiry(bus, flags=by_flags(yes=yes, deny_all=deny), person=person, resumed=True)
    assert await inquiry.settle_together([*own, *(foreign if shown or deny else [])])
    assert person.shown == shown
    by = {key: verdict.by for key, verdict in answers_of(events(tmp_path)).items()}
    assert by["k1"] == by["k2"] == ("--yes" if yes else "--deny-all")


async def test_an_answer_to_another_question_is_none_to_this(tmp_path: Path, bus: EventBus) -> None:
    inquiry = Inquiry(bus, person=Nobody(), given={"approve.2": HumanAnswer(decision="once", by="terminal")})
    assert await inquiry.settle(ASKED) is False
    assert events(tmp_path) == []


async def test_looking_again_counts_once_and_is_nothing_that_a_later_process_is_told(
    tmp_path: Path, bus: EventBus
) -> None:
    elsewhere = Question(kind="elsewhere", tool="t", builtin=True, message="?", key="elsewhere.ap-1", call_id="c1")
    assert await Inquiry(bus).settle(elsewhere) is False, "a run that has just asked does not look at once"
    inquiry = Inquiry(bus, resumed=True)
    assert await inquiry.settle(elsewhere) is True, "whoever resumes wants it looked at again"
    assert await inquiry.ask(elsewhere) == HumanAnswer(decision="again", by="resume")
    assert await inquiry.settle(elsewhere) is False
    assert answers_of(events(tmp_path)) == {}


def test_a_question_is_open_until_it_is_answered_its_call_ends_or_it_is_asked_anew() -> None:
    asked = [begun("a", "c1"), begun("b", "c2"), begun("c", "c3")]
    answered = event("approval", "end", key="a", decision="once", by="x", reason="")
    ended = event("tool", "end", call_id="c2", result={})
    assert [one.key for one in open_questions(asked)] == ["a", "b", "c"]
    assert [one.key for one in open_questions([*asked, answered, ended])] == ["c"]
    assert [one.key for one in open_questions([*asked, begun("d", "c3")])] == ["a", "b", "d"]


@pytest.mark.parametrize("kind", DECISIONS)
def test_each_kind_of_question_takes_its_own_answers_only(kind: Any) -> None:
    question = Question(kind=kind, tool="t", builtin=True, message="?")
    every: set[Decision] = {one for decisions in DECISIONS.values() for one in decisions}
    fitting = {one for one in every if fits(question, HumanAnswer(decision=one, by="x"))}
    assert fitting == set(DECISIONS[kind])
