"""What changes runs: create, answer, say, resume, fork, undo, cancel. A worker does the rest."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import JSONResponse, Response

from lg_orch.human.approvals import HumanAnswer
from lg_orch.human.forms import check
from lg_orch.human.inquiry import fits, of_same_turn
from lg_orch.runs.run_directory import fresh_run_id
from lg_orch.runs.timeline import steps_of
from lg_orch.service.api.bodies import UndoPreview
from lg_orch.service.api.service import questions_of, view_of
from lg_orch.service.records.rows import NewRun, RunPhase
from lg_orch.service.run_patch import diff_text
from lg_orch.undo.diffs import reversed_diff
from lg_orch.undo.plan import plan_undo, require_seen
from lg_policy.errors import Conflict, InvalidArguments

if TYPE_CHECKING:
    from lg_orch.human.approvals import Decision, Question
    from lg_orch.service.api.bodies import AnswerRun, CreateRun, ForkRun, SayToRun, UndoRun
    from lg_orch.service.api.endpoints import Call
    from lg_orch.service.api.service import RunService
    from lg_orch.service.records.rows import RunRow

KEY = "idempotency-key"
OPTIONS = {"model", "approvals", "ref", "max_tokens", "max_cost_usd", "max_wall_s"}
"""Fields of a new run that its row keeps as they are."""
MAX_KEY = 200
GO_ON: tuple[RunPhase, ...] = ("queued", "running", "waiting", "interrupted")
"""States in which guidance still reaches a run."""
TOGETHER = ("once", "run", "deny")
"""Answers that several questions may be given at once."""
RESUMABLE: tuple[RunPhase, ...] = ("waiting", "interrupted", "failed", "cancelled", "refused")


async def create_run(call: Call) -> Response:
    """Create a run; the same idempotency key with the same body answers with the run that it made."""
    row, new = await anyio.to_thread.run_sync(create, call)
    call.service.wake()
    return JSONResponse(view_of(row), 201 if new else 200, headers={"location": f"/v1/runs/{row.run_id}"})


def refuse_ref(body: CreateRun, root: str) -> None:
    """Raise `InvalidArguments` for a branch of a repository that is not cloned."""
    if body.ref is not None and root:
        raise InvalidArguments("`ref` goes with a repository that is cloned", hint="leave it out, or name an address")


def create(call: Call) -> tuple[RunRow, bool]:
    """Create the run of a body; returns whether it is new."""
    body: CreateRun = call.body
    named, root, root_id = call.service.repositories.resolve(body.repository)
    refuse_ref(body, root)
    options = body.model_dump(include=OPTIONS)
    call.service.repositories.refuse_raised(options, root)
    run_id = fresh_run_id()
    new = NewRun(
        run_id=run_id, request=call.service.masker.mask(body.request), repository=named, root=root,
        root_id=root_id or f"clone:{run_id}", options=options, created_by=call.caller.name, priority=body.priority,
        **_key(call, root),
    )  # fmt: skip
    return call.service.runs.create(new, max_queued=call.service.settings.max_queued)


def _key(call: Call, root: str) -> dict[str, Any]:
    """The caller's idempotency key, and what it was sent with. Services that share a store have each their own root."""
    key = call.request.headers.get(KEY)
    if key is None:
        return {"key": None}
    if not key.strip() or len(key) > MAX_KEY:
        raise InvalidArguments(f"the header Idempotency-Key has 1 to {MAX_KEY} characters", hint="a UUID is one")
    said = json.dumps([call.request.url.path, root, call.body.model_dump(mode="json")], sort_keys=True)
    return {"key": key, "digest": hashlib.sha256(said.encode()).hexdigest()}


async def answer_run(call: Call) -> Response:
    """Answer a question of a run, which then goes on."""
    row = await anyio.to_thread.run_sync(answer, call)
    call.service.wake()
    return JSONResponse(view_of(row), 202)


def answer(call: Call) -> RunRow:
    """Keep the answer to a question, for a worker to go on with."""
    body: AnswerRun = call.body
    row = call.service.runs.get(call.run_id)
    asked = {question.key: question for question in questions_of(call.service, row, call.service.events.all(row))}
    question = asked.get(body.question)
    if question is None:
        raise Conflict(
            f"run {row.run_id} does not ask this, or it is answered already", hint="GET the run for its questions"
        )
    decision: Decision = (
        "once" if body.decision == "approve" else "run" if body.decision == "approve_for_run" else body.decision
    )
    _check_answer(call, question, HumanAnswer(decision=decision, by="", arguments=body.arguments))
    answered = of_same_turn(question, asked.values()) if body.together else [question]
    if len(answered) > 1 and decision not in TOGETHER:
        raise InvalidArguments(f"{body.decision!r} answers one question", hint="leave `together` out")
    # The others of a turn are answered while a worker takes the run up again.
    expected: tuple[RunPhase, ...] = ("waiting", "queued", "running") if question.turn else ("waiting",)
    for each in answered:
        said = {
            "key": each.key, "decision": decision, "reason": body.reason, "arguments": body.arguments,
            "if_lost": body.if_lost,
        }  # fmt: skip
        row = call.service.runs.say(row.run_id, "answer", said, call.caller.name, expected=expected)
    return row


def _check_answer(call: Call, question: Question, verdict: HumanAnswer) -> None:
    """Raise `InvalidArguments` for an answer that does not fit the question."""
    if not fits(question, verdict):
        raise InvalidArguments(
            f"{call.body.decision!r} does not answer a question of kind {question.kind!r}",
            hint="its `decisions` lists what does",
        )
    if verdict.decision == "answer":
        check(question.form, verdict.arguments)
    needs = verdict.decision in ("answer", "edit")
    if needs != (verdict.arguments is not None):
        raise InvalidArguments(f"`arguments` {'is missing' if needs else 'goes with edit and answer only'}")
    if verdict.arguments is not None and call.service.masker.mask_json(dict(verdict.arguments)) != verdict.arguments:
        raise InvalidArguments(
            "the answer seems to contain a secret, and a run's journal does not store secrets",
            hint="decline, and set the secret in the server's own configuration",
        )


async def say_to_run(call: Call) -> Response:
    """Add guidance to a run that has not ended."""
    body: SayToRun = call.body
    said = {"text": call.service.masker.mask(body.text)}
    row = await anyio.to_thread.run_sync(
        lambda: call.service.runs.say(call.run_id, "say", said, call.caller.name, expected=GO_ON)
    )
    call.service.wake()
    return JSONResponse(view_of(row), 202)


async def resume_run(call: Call) -> Response:
    """Have a run go on that stopped before its end."""
    row = await anyio.to_thread.run_sync(_resume, call)
    call.service.wake()
    return JSONResponse(view_of(row), 202)


def _resume(call: Call) -> RunRow:
    row = call.service.runs.get(call.run_id)
    if row.report is not None and row.report.get("finished"):
        raise Conflict(f"run {row.run_id} came to its end", hint="fork it to start anew from one of its steps")
    limits = {name: value for name, value in call.body.model_dump().items() if value is not None}
    call.service.repositories.refuse_raised(limits, row.root)
    return call.service.runs.say(row.run_id, "resume", limits, call.caller.name, expected=RESUMABLE)


async def fork_run(call: Call) -> Response:
    """Create a run that begins after a step of another one."""
    row, new = await anyio.to_thread.run_sync(_fork, call)
    call.service.wake()
    return JSONResponse(view_of(row), 201 if new else 200, headers={"location": f"/v1/runs/{row.run_id}"})


def _fork(call: Call) -> tuple[RunRow, bool]:
    body: ForkRun = call.body
    source = call.service.runs.get(call.run_id)
    done = {step.number for step in steps_of(call.service.events.all(source)) if step.done}
    if body.step not in done:
        raise InvalidArguments(
            f"run {source.run_id} has no step {body.step} that came to its end",
            hint=f"its last step is {max(done)}" if done else "it has none yet",
        )
    new = NewRun(
        run_id=fresh_run_id(), request=source.request, repository=source.repository, root=source.root,
        root_id=source.root_id, options=source.options, created_by=call.caller.name, priority=source.priority,
        forked_from=f"{source.run_id}:{body.step}",
        guidance=call.service.masker.mask(body.say) if body.say is not None else None, **_key(call, source.root),
    )  # fmt: skip
    return call.service.runs.create(new, max_queued=call.service.settings.max_queued)


async def undo_run(call: Call) -> Response:
    """Take back what a run changed, or show what that would be."""
    body: UndoRun = call.body
    if body.preview:
        shown = await anyio.to_thread.run_sync(undo_preview, call.service, call.run_id, body.to)
        return JSONResponse(shown.model_dump(mode="json"))
    row = await anyio.to_thread.run_sync(_undo, call)
    call.service.wake()
    return JSONResponse(view_of(row), 202)


def _undo(call: Call) -> RunRow:
    body: UndoRun = call.body
    wanted: dict[str, Any] = {"to": body.to}
    if body.change_sets is not None:
        wanted["change_sets"] = list(body.change_sets)
        require_seen(undo_preview(call.service, call.run_id, body.to).change_sets, body.change_sets)
    return call.service.runs.undo(call.run_id, wanted, call.caller.name)


def undo_preview(service: RunService, run_id: str, after: int) -> UndoPreview:
    """Return what an undo would revert."""
    row = service.runs.get(run_id)
    undoing = plan_undo(service.events.all(row), after=after)

    def read(digest: str) -> bytes | None:
        return service.events.file_or_none(row, f"results/{digest}.json")

    return UndoPreview(
        diff="".join(reversed_diff(diff_text(patch, read)) for patch in undoing.patches),
        change_sets=tuple(patch.change_id for patch in undoing.patches),
        uncovered=undoing.uncovered,
    )


async def cancel_run(call: Call) -> Response:
    """End a run: at once, or as soon as its worker hears of it."""
    row = await anyio.to_thread.run_sync(call.service.runs.cancel, call.run_id)
    call.service.wake()
    return JSONResponse(view_of(row), 202 if row.owner is not None else 200)
