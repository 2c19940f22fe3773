"""Runs and questions in the shapes that clients of LangGraph Server read, and their input and answers in ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lg_orch.service.api.bodies import AnswerRun, CreateRun
from lg_orch.service.api.service import question_view, questions_of, view_of
from lg_orch.service.records.rows import ENDED
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lg_orch.service.api.bodies import QuestionView
    from lg_orch.service.api.service import RunService
    from lg_orch.service.langgraph_api.threads import Thread
    from lg_orch.service.records.rows import RunPhase, RunRow

ASSISTANT = "lg-orch"
STATUS: Mapping[RunPhase, str] = {
    "queued": "pending", "running": "running", "waiting": "interrupted", "done": "success", "unchecked": "success",
    "failed": "error", "refused": "error", "interrupted": "interrupted", "cancelled": "interrupted",
}  # fmt: skip
DECISIONS = {"approve": "approve", "accept": "approve", "reject": "deny", "ignore": "deny"}
WAITING: tuple[RunPhase, ...] = ("waiting",)
CONFIGURED = ("repository", "ref", "model", "approvals", "max_tokens", "max_cost_usd", "max_wall_s")
"""Fields of a new run that `config.configurable` or `context` may set."""


def is_over(row: RunRow) -> bool:
    """Tell whether a client need not wait any longer: the run ended, or waits for an answer."""
    return row.work is None and (row.state in ENDED or row.state == "waiting")


def run_shown(thread_id: str, row: RunRow) -> dict[str, Any]:
    """Return a run."""
    return {
        "run_id": row.run_id, "thread_id": thread_id, "assistant_id": ASSISTANT, "created_at": _time(row.created),
        "updated_at": _time(row.updated), "status": STATUS[row.state], "metadata": {"state": row.state},
        "multitask_strategy": "reject",
    }  # fmt: skip


def thread_shown(service: RunService, thread: Thread) -> dict[str, Any]:
    """Return a thread with what its newest run came to."""
    rows = [service.runs.get(run_id) for run_id in thread.runs]
    last = rows[-1] if rows else None
    interrupts = interrupts_of(service, last) if last is not None else []
    status = "idle" if last is None or last.state in ENDED else "interrupted" if last.state == "waiting" else "busy"
    return {
        "thread_id": thread.thread_id, "created_at": _time(thread.created),
        "updated_at": _time(last.updated if last is not None else thread.created), "metadata": dict(thread.metadata),
        "status": "error" if last is not None and last.state in ("failed", "refused") else status, "config": {},
        "values": values_of(rows),
        "interrupts": {str(last.run_id): interrupts} if last is not None and interrupts else {},
    }  # fmt: skip


def state_shown(service: RunService, thread: Thread) -> dict[str, Any]:
    """Return the state of a thread."""
    rows = [service.runs.get(run_id) for run_id in thread.runs]
    last = rows[-1] if rows else None
    interrupts = interrupts_of(service, last) if last is not None else []
    checkpoint = {
        "thread_id": thread.thread_id, "checkpoint_ns": "",
        "checkpoint_id": f"{last.run_id}:{last.epoch}" if last is not None else "",
    }  # fmt: skip
    going = last is not None and last.state not in ENDED
    return {
        "values": values_of(rows), "next": ["run"] if going else [], "checkpoint": checkpoint,
        "metadata": dict(thread.metadata), "created_at": _time(last.updated if last is not None else thread.created),
        "parent_checkpoint": None, "interrupts": interrupts,
        "tasks": [{"id": last.run_id, "name": "run", "error": None, "interrupts": interrupts, "checkpoint": None,
                   "state": None, "result": None}] if going and last is not None else [],
    }  # fmt: skip


def values_of(rows: Sequence[RunRow]) -> dict[str, Any]:
    """Return requests and reports as messages, and the newest run as the run API shows it."""
    messages: list[dict[str, Any]] = []
    for row in rows:
        messages.append({"type": "human", "id": f"{row.run_id}-request", "content": row.request})
        if row.report is not None:
            text = str(row.report.get("text") or "")
            messages.append({"type": "ai", "id": f"{row.run_id}-report", "content": text, "tool_calls": []})
    return {"messages": messages, "run": view_of(rows[-1]) if rows else None}


def interrupts_of(service: RunService, row: RunRow, states: Collection[RunPhase] = WAITING) -> list[dict[str, Any]]:
    """Return what a run waits for, as interrupts that ask to approve or reject a call. In other states it is nothing.

    Questions of one turn are answered one by one: while a worker goes on with an answer, the others stay open.
    """
    if row.state not in states:
        return []
    events = service.events.all(row)
    views = [question_view(question, events) for question in questions_of(service, row, events)]
    return [{"id": view.key, "value": _asked(view), "when": "during", "resumable": True} for view in views]


def _asked(view: QuestionView) -> dict[str, Any]:
    names = [name for name, decision in (("approve", "approve"), ("reject", "deny")) if decision in view.decisions]
    return {
        "action_requests": [{"name": view.tool, "args": view.arguments, "description": view.message}],
        "review_configs": [{"action_name": view.tool, "allowed_decisions": names}],
        "question": view.model_dump(mode="json"),
    }


def new_run(input_: Any, settings: Mapping[str, Any]) -> CreateRun:
    """Return the run that an input asks for. Raises `InvalidArguments`."""
    fields = {name: settings[name] for name in CONFIGURED if settings.get(name) is not None}
    try:
        return CreateRun.model_validate({"request": request_of(input_), **fields})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidArguments(f"{place or 'input'}: {first['msg']}") from error


def request_of(input_: Any) -> str:
    """Return what a human asks for: `request`, or the text of the newest human message. Raises `InvalidArguments`."""
    if isinstance(input_, dict):
        if isinstance(input_.get("request"), str):
            return str(input_["request"])
        messages = input_.get("messages")
        for message in reversed(messages if isinstance(messages, list) else [messages]):
            kind = (message.get("role") or message.get("type")) if isinstance(message, dict) else None
            if isinstance(message, dict) and kind in ("user", "human"):
                return _text(message.get("content"))
    raise InvalidArguments(
        "`input` has no request", hint='send {"messages": [{"role": "user", "content": "…"}]} or {"request": "…"}'
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def answers_of(resume: Any, open_questions: Sequence[Mapping[str, Any]]) -> list[AnswerRun]:
    """Return the answers that `command.resume` gives: by the id of their interrupts, or without where only one is open.

    Raises `InvalidArguments`.
    """
    if not open_questions:
        raise InvalidArguments("the thread waits for nothing", hint="send `input` to begin a run")
    keys = [str(question["id"]) for question in open_questions]
    if isinstance(resume, dict) and resume and set(resume) <= set(keys):
        return [_answer(key, given) for key, given in resume.items()]
    if len(keys) > 1:
        # Which of them a user interface has shown is not known.
        raise InvalidArguments(
            f"the thread waits for {len(keys)} answers, and `command.resume` does not say which this is",
            hint='name the interrupt: {"INTERRUPT ID": {"decisions": [{"type": "approve"}]}}',
        )
    return [_answer(keys[0], resume)]


def _answer(key: str, resume: Any) -> AnswerRun:
    fields: dict[str, Any] | None = None
    if isinstance(resume, dict) and "decision" in resume:
        fields = dict(resume)
    else:
        given = resume.get("decisions", resume) if isinstance(resume, dict) else resume
        first = given[0] if isinstance(given, list) and len(given) == 1 else given
        kind = first.get("type") if isinstance(first, dict) else None
        if isinstance(first, dict) and isinstance(kind, str) and kind in DECISIONS:
            reason = first.get("message") or (first.get("args") if isinstance(first.get("args"), str) else "")
            fields = {"decision": DECISIONS[kind], **({"reason": reason} if kind in ("reject", "ignore") else {})}
    try:
        return AnswerRun.model_validate({"question": key, **(fields or {})})
    except ValidationError as error:
        raise InvalidArguments(
            "`command.resume` is no answer",
            hint='send {"decisions": [{"type": "approve"}]}, or "reject" with a message',
        ) from error


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
