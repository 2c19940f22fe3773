"""Makes the decided calls and asks the backend what follows when none is left.

A visit makes one call that may have an effect, or several that only read, side by side: LangGraph runs a visit again
after a crash or a question.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from lg_orch.agent.asking_together import ask_together, drop_questions
from lg_orch.agent.budgets import executor_room, patch_bytes
from lg_orch.agent.checks.baseline_beside import begin_beside, joined, may_change, take_ended
from lg_orch.agent.checks.planned_checks import baselines, changes, renewed
from lg_orch.agent.finished_calls import finish
from lg_orch.agent.human_decisions import STOPPED, called_instead, denied, is_result, refused_before
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.loop_detection import circle
from lg_orch.agent.nodes.planner import stopped, work_of
from lg_orch.agent.patch_preview import UNJUDGED, look, sent_back, wants_look
from lg_orch.agent.patches import changes_files, has_effect, touched_paths
from lg_orch.agent.services import think
from lg_orch.agent.stored_results import answer_here
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.errors import ModelGone, OutOfBudget, ThinkingFailed
from lg_orch.contracts.text import many
from lg_orch.tools.gateway_tools import failure

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.budget_use import Spent
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.state import QueuedCall, RunState, Update

NO_CHANGE = "this run answers a question, so it changes no files"
ASK_FOR_CHANGE = "describe the change in your answer; the user can ask for it in a run of its own"
BY_THE_PROGRAM = ("base.", "check.", "again.", "near.")
"""How the ids of checks begin."""
AT_ONCE = 8
"""Reading calls of one visit."""


async def executor(state: RunState, services: Services) -> Update:
    """Make the next calls if there are some and the loop has room for them; else decide the calls that follow."""
    services.control.check_stop()
    services.check_wall()
    if not state.baseline_checks:
        return await _work(state, services)
    if state.queue and may_change(state, services, state.queue[0]):
        return {"baseline_now": True}
    begin_beside(state, services)
    before = await take_ended(state, services)
    state = state.model_copy(update={name: value for name, value in before.items() if name != "tool_results"})
    update = joined(before, await _work(state, services))
    if not (update.get("queue", state.queue) or update.get("replan") or update.get("unasked")):
        # It ends without a change: how the checks end does not differ from how they ended.
        update["baseline_checks"] = ()
    return update


async def _work(state: RunState, services: Services) -> Update:
    if not state.queue:
        return {"unasked": False} | await _follow_up(state, services)
    room = executor_room(state.budgets, len(state.checks))
    if room == 0:
        stop = services.budgets.loop_stop(state.budgets)
        return {} if stop is None else {"guards": stopped(state, stop, len(state.queue)), "queue": ()}
    first = await _before_the_call(state, services, room)
    if first is not None:
        return first
    batch = _batch(state, services, room)
    made = await _make(state, services, batch)
    rest = [*made.again, *state.queue[len(batch) :]]
    update: Update = {"tool_results": made.results, "budgets": made.spent, "queue": tuple(rest)}
    if made.stop:
        return update | {"queue": (), "guards": stopped(state, STOPPED, len(rest))}
    answered = [result for result in made.results if result.artifacts.approved_by is not None]
    if answered:
        update["approvals"] = [
            {"call_id": result.artifacts.call_id, "tool": result.tool, "by": result.artifacts.approved_by}
            for result in answered
        ]
    if isinstance(services.backend, ActingBackend) and denied(made.results):
        # Who asked for it reads what the human said, and decides anew about what was to follow.
        await drop_questions(services, rest)
        rest = []
        update["queue"] = ()
    after = state.model_copy(
        update={"tool_results": [*state.tool_results, *made.results], "budgets": made.spent, "queue": tuple(rest)}
    )
    if any(has_effect(services, services.results.whole(result)) for result in made.results):
        update["checks"] = renewed(after, services)
    if rest:
        return update
    try:
        return update | await _follow_up(after, services)
    except (ModelGone, OutOfBudget) as error:
        # What the calls brought is kept before the run breaks off.
        services.control.broke_off = error
        return update | {"unasked": True}


async def _before_the_call(state: RunState, services: Services, room: int) -> Update | None:
    """What must be done before the next call is made: a look at its files, and the questions about its turn."""
    if isinstance(services.backend, ActingBackend) and wants_look(services, state.queue[0]):
        return await _look_first(state, services)
    asked = await ask_together(state, services, room, lambda queued: _refused_here(state, services, queued) is not None)
    return {"queue": asked} if asked is not None else None


async def _look_first(state: RunState, services: Services) -> Update:
    """Put a patch back once its files were looked at, or answer it where it would change one blindly."""
    queued, *rest = state.queue
    if _refused_here(state, services, queued) is not None:
        return {"queue": (queued.model_copy(update={"looked": True}), *rest)}
    looked = await look(services, queued)
    spent = state.budgets.with_call(in_loop=False)
    answer = sent_back(state, services, queued, looked)
    if answer is None:
        error = looked.artifacts.error
        touched = touched_paths(looked)
        known = {"looked": True, "touches": tuple(touched) if looked.ok else None}
        update: Update = {"queue": (queued.model_copy(update=known), *rest), "budgets": spent}
        checks = renewed(state, services, touched)
        if not any(has_effect(services, result) for result in services.whole_results(state)):
            missing = baselines(state, services, checks)
            update |= {"checks": checks, "baseline_checks": missing, "baseline_now": True}
        if error is not None and error.code == "approval_required" and UNJUDGED not in state.guards.notes:
            update["guards"] = state.guards.model_copy(update={"notes": (*state.guards.notes, UNJUDGED)})
        return update
    spent = spent.with_call()
    update = {"tool_results": [answer], "budgets": spent, "queue": tuple(rest)}
    if not rest:
        results = [*state.tool_results, answer]
        update |= await _follow_up(state.model_copy(update={"tool_results": results, "budgets": spent}), services)
    return update


def _batch(state: RunState, services: Services, room: int) -> tuple[QueuedCall, ...]:
    """The next call, and those after it that only read, as long as the first does."""
    reading = {tool.name for tool in services.tools.tools if tool.read_only}
    batch: list[QueuedCall] = []
    for queued in state.queue[: min(room, AT_ONCE)]:
        if queued.alone or queued.call.tool not in reading:
            break
        batch.append(queued)
    return tuple(batch) or state.queue[:1]


@dataclass(kw_only=True)
class _Made:
    """What came of the calls of one visit."""

    results: list[ToolEnvelope]
    again: list[QueuedCall]
    """Calls to be made next: one that needs a human and must be made alone, or what a human wants instead."""
    spent: Spent
    stop: bool = False
    """A human chose to stop."""


async def _make(state: RunState, services: Services, batch: tuple[QueuedCall, ...]) -> _Made:
    """Make one call, or several reading ones at once; results in the order of the calls.

    One of several that needs a human is put back, to be made alone: an interruption would repeat the others.
    """
    if len(batch) == 1:
        queued = batch[0]
        envelope, spent = await perform(state, services, queued, step="executor")
        instead = called_instead(services, queued, envelope)
        return _Made(
            results=[envelope] if is_result(envelope) else [],
            again=[instead] if instead is not None else [],
            spent=spent,
            stop=envelope.artifacts.decision == "stop",
        )
    found: dict[str, ToolEnvelope] = {}

    async def make(queued: QueuedCall) -> None:
        found[queued.key], _spent = await perform(state, services, queued, step="executor", may_ask=False)

    async with anyio.create_task_group() as group:
        for queued in batch:
            group.start_soon(make, queued)
    done: list[ToolEnvelope] = []
    again: list[QueuedCall] = []
    spent = state.budgets
    for queued in batch:
        error = found[queued.key].artifacts.error
        if error is not None and error.code == "approval_required":
            again.append(queued.model_copy(update={"alone": True}))
            continue
        done.append(found[queued.key])
        spent = spent.with_call()
    return _Made(results=done, again=again, spent=spent)


async def perform(
    state: RunState, services: Services, queued: QueuedCall, *, step: str, in_loop: bool = True, may_ask: bool = True
) -> tuple[ToolEnvelope, Spent]:
    """Make one call within its limits; returns the brief envelope and what the run has then used."""
    here = _refused_here(state, services, queued)
    if here is None and isinstance(services.backend, ActingBackend):
        here = answer_here(state, services, queued)
    if here is not None:
        return finish(services, here), state.budgets.with_call(in_loop=in_loop)
    timeout = services.budgets.call_timeout(services.wall_s())
    envelope = await services.tools.call(queued, step=step, timeout_s=timeout, may_ask=may_ask)
    size = _patch_bytes(services, queued)
    return finish(services, envelope), state.budgets.with_call(patch_bytes=size, in_loop=in_loop)


def _refused_here(state: RunState, services: Services, queued: QueuedCall) -> ToolEnvelope | None:
    """The refusal of a call that the request excludes, that is over a limit of the run, or that a human refused."""
    if not changes(state) and changes_files(services, queued.call.tool):
        return failure(queued, Problem(code="policy_denied", message=NO_CHANGE, hint=ASK_FOR_CHANGE))
    stop = services.budgets.patch_stop(_patch_bytes(services, queued))
    if stop is not None:
        return failure(queued, Problem(code="too_large", message=stop))
    return refused_before(state, queued)


def _patch_bytes(services: Services, queued: QueuedCall) -> int:
    info = services.tools.named(queued.call.tool)
    return patch_bytes(info.original, queued.call.input) if info is not None else 0


async def _follow_up(state: RunState, services: Services) -> Update:
    """The calls that the backend wants next; a backend that cannot decide stops the run, with what it has."""
    if state.plan is None or state.guards.stopped is not None:
        return {"queue": ()}
    try:
        if isinstance(services.backend, ActingBackend):
            return await _turn(state, services, services.backend)
        request, whole = services.request(state), services.whole_results(state)
        proposed = await think(services.backend.next_calls, request, state.plan, services.context(state), whole)
    except ThinkingFailed as error:
        return {"queue": (), "guards": stopped(state, error.text(), 0)}
    reading = {tool.name for tool in services.tools.tools if tool.read_only}
    return _decided(services, _new_calls(proposed, whole, reading))


async def _turn(state: RunState, services: Services, backend: ActingBackend) -> Update:
    work = work_of(state, services)
    own = [result for result in work.results if not result.artifacts.call_id.startswith(BY_THE_PROGRAM)]
    reason = await think(circle, own)
    if reason is not None:
        return {"queue": (), "guards": stopped(state, reason, 0)}
    turn = await think(backend.act, work)
    if turn.replan:
        services.bus.emit("thought", "executor", "note", {"text": f"the plan does not fit: {turn.replan}"})
        return {"queue": (), "replan": turn.replan}
    update = _decided(services, list(turn.calls)) | {"words": turn.words}
    new = tuple(note for note in turn.notes if note not in state.guards.notes)
    if new:
        update["guards"] = state.guards.model_copy(update={"notes": (*state.guards.notes, *new)})
    if not turn.calls and changes(state) and not any(has_effect(services, result) for result in work.results):
        # Nothing was changed: the checks would say again what the baseline said.
        update["checks"] = ()
    return update


def _decided(services: Services, calls: list[PlannedCall]) -> Update:
    if calls:
        services.bus.emit("thought", "executor", "note", {
            "text": f"next: {many(len(calls), 'call')}", "calls": [call.id for call in calls],
        })  # fmt: skip
    return {"queue": tuple(services.mint(call) for call in calls)}


def _new_calls(proposed: object, results: list[ToolEnvelope], read_only: set[str]) -> list[PlannedCall]:
    """Of what the backend proposed: read-only calls whose id and whose tool with these arguments are both new."""
    ids = {envelope.artifacts.call_id for envelope in results}
    made = {_identity(envelope.tool, envelope.artifacts.input) for envelope in results}
    chosen: list[PlannedCall] = []
    for call in proposed if isinstance(proposed, list | tuple) else ():
        identity = _identity(call.tool, call.input)
        if call.id in ids or identity in made or call.tool not in read_only:
            continue
        ids.add(call.id)
        made.add(identity)
        chosen.append(call)
    return chosen


def _identity(tool: str, arguments: dict[str, object]) -> str:
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"
