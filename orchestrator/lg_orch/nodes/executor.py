"""Makes the plan's calls, one a visit, and asks the mind what follows when none is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lg_orch.budgets import executor_room, patch_bytes
from lg_orch.errors import ThinkingFailed
from lg_orch.models_io import Problem
from lg_orch.nodes.context_builder import finish
from lg_orch.nodes.human import STOPPED, called_instead, is_result
from lg_orch.nodes.planner import stopped
from lg_orch.seams import ActingMind
from lg_orch.services import think
from lg_orch.tools import failure
from lg_policy.errors import LimitExceeded

if TYPE_CHECKING:
    from lg_orch.budgets import Spent
    from lg_orch.models_io import PlannedCall, ToolEnvelope
    from lg_orch.services import Services
    from lg_orch.state import QueuedCall, RunState, Update


async def executor(state: RunState, services: Services) -> Update:
    """Make the next call if there is one and the loop has room for it; else decide the calls that follow."""
    services.check_stop()
    stop = services.budgets.run_stop(state.budgets, services.wall_s())
    if stop is not None:
        return {"guards": stopped(state, stop, len(state.queue)), "queue": ()}
    if not state.queue:
        return await _follow_up(state, services, state.tool_results)
    if executor_room(state.budgets, len(state.checks)) == 0:
        stop = services.budgets.loop_stop(state.budgets)
        return {} if stop is None else {"guards": stopped(state, stop, len(state.queue)), "queue": ()}
    queued, *rest = state.queue
    envelope, spent = await perform(state, services, queued, step="executor")
    new = [envelope] if is_result(envelope) else []
    instead = called_instead(services, queued, envelope)
    if instead is not None:
        rest = [instead, *rest]
    results = [*state.tool_results, *new]
    update: Update = {"tool_results": new, "budgets": spent, "queue": tuple(rest)}
    if envelope.artifacts.decision == "stop":
        return update | {"queue": (), "guards": stopped(state, STOPPED, len(rest))}
    if envelope.artifacts.approved_by is not None:
        update["approvals"] = [
            {"call_id": queued.call.id, "tool": queued.call.tool, "by": envelope.artifacts.approved_by}
        ]
    if not rest:
        update |= await _follow_up(state, services, results)
    return update


async def perform(state: RunState, services: Services, queued: QueuedCall, *, step: str) -> tuple[ToolEnvelope, Spent]:
    """Make one call within its limits; returns the brief envelope and what the run has then used."""
    info = next((tool for tool in services.tools.tools if tool.name == queued.call.tool), None)
    size = patch_bytes(info.original, queued.call.input) if info is not None else 0
    stop = services.budgets.patch_stop(size)
    if stop is not None:
        refused = failure(queued, Problem(code="too_large", message=stop))
        return finish(services, refused), state.budgets.with_call()
    timeout = services.budgets.call_timeout(services.wall_s())
    envelope = await services.tools.call(queued, step=step, timeout_s=timeout)
    return finish(services, envelope), state.budgets.with_call(patch_bytes=size)


async def _follow_up(state: RunState, services: Services, results: list[ToolEnvelope]) -> Update:
    """The calls that the mind wants next; a mind that cannot decide stops the run, with what it has."""
    if state.plan is None or state.guards.stopped is not None:
        return {"queue": ()}
    whole = [services.results.whole(brief) for brief in results]
    try:
        proposed = await think(
            services.mind.next_calls, services.request(state), state.plan, services.context(state), whole
        )
    except (ThinkingFailed, LimitExceeded) as error:
        return {"queue": (), "guards": stopped(state, error.text(), 0)}
    if isinstance(services.mind, ActingMind):
        chosen = list(proposed)
    else:
        chosen = _new_calls(proposed, results, {tool.name for tool in services.tools.tools if tool.read_only})
    if chosen:
        services.bus.emit("thought", "executor", "note", {
            "text": f"{len(chosen)} further calls follow from the results", "calls": [call.id for call in chosen],
        })  # fmt: skip
    return {"queue": tuple(services.mint(call) for call in chosen)}


def _new_calls(proposed: object, results: list[ToolEnvelope], read_only: set[str]) -> list[PlannedCall]:
    """Of what the mind proposed: read-only calls whose id and whose tool with these arguments are both new."""
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
