"""Writes into a run's journal what humans said to it over the API, each thing once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.human.approvals import HumanAnswer
from lg_orch.human.inquiry import answers_of, fits, of_same_turn, open_questions, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.recording.event_bus import EventBus
    from lg_orch.service.records.rows import Said


def write_said(bus: EventBus, events: Sequence[Event], said: Sequence[Said]) -> list[Event]:
    """Journal what is not there yet; returns all events with those that are new.

    An answer to a question that is not open any more is left out.
    """
    found = list(events)
    for each in said:
        if each.kind == "say":
            found += _guidance(bus, found, each)
        elif each.kind == "answer":
            found += _answer(bus, found, each)
    return found


def if_lost(events: Sequence[Event], said: Sequence[Said]) -> tuple[str, HumanAnswer] | None:
    """Return the call that an answer is about, and what was said for the case that its outcome was lost."""
    for each in said:
        outcome, key = each.body.get("if_lost"), each.body.get("key")
        calls = [event.data["call_id"] for event in events if event.kind == "approval" and event.data.get("key") == key
                 and event.phase == "begin"]  # fmt: skip
        if outcome and calls:
            return str(calls[-1]), HumanAnswer(decision=outcome, by=_who(each))
    return None


def _guidance(bus: EventBus, events: Sequence[Event], said: Said) -> list[Event]:
    if any(event.name == "user" and event.data.get("said") == said.id for event in events):
        return []
    text = str(said.body["text"])
    made = [bus.emit("thought", "user", "note", {"text": text, "guidance": True, "by": said.by, "said": said.id})]
    if said.body.get("denies"):
        verdict = HumanAnswer(decision="deny", by=_who(said), reason=text)
        asked = [question for question in open_questions(events) if fits(question, verdict)]
        if asked and asked[-1].kind != "elsewhere":
            made += [record(bus, each.tool, each.key, verdict) for each in of_same_turn(asked[-1], asked)]
    return made


def _answer(bus: EventBus, events: Sequence[Event], said: Said) -> list[Event]:
    key = str(said.body["key"])
    question = next((question for question in open_questions(events) if question.key == key), None)
    if question is None or key in answers_of(events):
        return []
    verdict = HumanAnswer(
        decision=said.body["decision"],
        by=_who(said),
        reason=str(said.body.get("reason") or ""),
        arguments=said.body.get("arguments"),
    )
    return [record(bus, question.tool, key, verdict)] if fits(question, verdict) else []


def _who(said: Said) -> str:
    return f"{said.by} over the API"
