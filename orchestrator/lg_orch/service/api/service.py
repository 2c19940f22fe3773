"""What the API works with: the rows, the events, and what a run shows of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.human.approvals import DECISIONS
from lg_orch.human.inquiry import open_questions
from lg_orch.human.question_texts import QuestionTexts
from lg_orch.service.api.bodies import QuestionView, RunDetail, RunView
from lg_orch.service.records.run_counts import COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.human.approvals import Question
    from lg_orch.service.api.access import Login
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.records.run_events import RunEvents
    from lg_orch.service.records.run_table import RunTable
    from lg_orch.service.records.schedule_table import ScheduleTable
    from lg_orch.service.repositories import Repositories
    from lg_policy.config.service import ServiceSettings
    from lg_policy.secrets.masking import Masker

NAMES = {"once": "approve", "run": "approve_for_run"}
"""Decisions that the API names otherwise."""


def nobody() -> None:
    """Wake nobody: workers look by themselves."""


def never_ended() -> bool:
    """Tell that no worker has ended: the service has none."""
    return False


@dataclass(frozen=True, kw_only=True)
class RunService:
    """All that the API needs."""

    runs: RunTable
    events: RunEvents
    repositories: Repositories
    settings: ServiceSettings
    masker: Masker
    logins: Sequence[Login]
    wake: Callable[[], None] = nobody
    """Tells a worker that there may be something to do."""
    schedules: ScheduleTable
    worker_ended: Callable[[], bool] = never_ended
    """Tells that the worker of this process drives nothing any more."""
    recheck_s: float = 15.0
    """Seconds after which a stream looks again whether its reader may still read."""
    streams: list[object] = field(default_factory=list)
    """The event streams that are open."""
    closing: anyio.Event = field(default_factory=anyio.Event)
    """Set when the service stops: streams end then."""


def view_of(row: RunRow) -> dict[str, Any]:
    """Return the fields that a list shows of a run."""
    return RunView(
        run_id=row.run_id, state=row.state, request=row.request, repository=row.repository, root=row.root,
        created_by=row.created_by, created=_time(row.created), updated=_time(row.updated), priority=row.priority,
        epoch=row.epoch, worker=row.owner, stopping=bool(row.stop), model=row.options.get("model"),
        report=_report(row), undo=dict(row.undo) if row.undo else None,
        forked_from=row.forked_from,
    ).model_dump(mode="json")  # fmt: skip


def detail_of(service: RunService, row: RunRow) -> dict[str, Any]:
    """Return everything that one run shows."""
    events = service.events.all(row)
    questions = questions_of(service, row, events) if row.state in ("waiting", "queued", "running") else []
    shown = tuple(question_view(question, events) for question in questions)
    last = events[-1].seq if events else 0
    return RunDetail(**view_of(row), questions=shown, last_event=last).model_dump(mode="json")


def questions_of(service: RunService, row: RunRow, events: Sequence[Event]) -> list[Question]:
    """Return what a run waits for, with the texts whole."""
    asked = open_questions(events)
    return [_whole(service, row, question) for question in asked]


def _whole(service: RunService, row: RunRow, question: Question) -> Question:
    texts = QuestionTexts.name_of(question.key)
    kept = service.events.file_or_none(row, f"questions/{texts}")
    return question if kept is None else QuestionTexts.restored(question, kept)


def question_view(question: Question, events: Sequence[Event]) -> QuestionView:
    """Return what a human is shown of a question."""
    inputs = {event.data["call_id"]: event.data["input"] for event in events if event.data.get("input") is not None}
    return QuestionView(
        key=question.key, kind=question.kind, tool=question.tool, message=question.message,
        arguments=dict(question.arguments) or inputs.get(question.call_id, {}), form=dict(question.form),
        decisions=tuple(NAMES.get(decision, decision) for decision in DECISIONS[question.kind]),
        turn=question.turn,
    )  # fmt: skip


def _report(row: RunRow) -> dict[str, Any] | None:
    """The last report, without what is kept for the metrics."""
    if row.report is None:
        return None
    return {name: value for name, value in row.report.items() if name != COUNTED}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
