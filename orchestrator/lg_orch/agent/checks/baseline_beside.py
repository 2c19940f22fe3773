"""Runs the checks before a change beside the first model requests, as long as nothing can change under them.

A repair begins with them: what fails is what the model works from. For other changes they are begun with the first
visit of the executor and go on in the background. Before the first call that may change something the run waits for
them. Another process that goes on with the run begins those again that had not ended.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lg_orch.agent.checks.check_results import judge
from lg_orch.agent.finished_calls import finish
from lg_orch.agent.services import think
from lg_orch.contracts.reports import VerifierReport

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState, Update

OUTCOME_UNKNOWN = "outcome_unknown"


def may_go_beside(state: RunState) -> bool:
    """Tell whether the model may be asked before the baseline is there: not where its failures are the task."""
    return state.intent is not None and state.intent.intent != "debug"


def begin_beside(state: RunState, services: Services) -> None:
    """Begin the checks of the baseline in the background."""
    if services.beside is None:
        return
    for queued in state.baseline_checks:
        limit = services.budgets.call_timeout(services.wall_s())
        make = partial(services.tools.call, queued, step="verifier", timeout_s=limit, may_ask=False)
        services.beside.begin(queued.key, make)


async def take_ended(state: RunState, services: Services) -> Update:
    """Return what the checks that have ended in the background change in the state, in their order."""
    whole: Update = {}
    while state.baseline_checks and services.beside is not None:
        queued = state.baseline_checks[0]
        envelope = await taken(services, queued) if services.beside.ended(queued.key) else None
        if envelope is None:
            break
        update = await baseline_update(state, services, queued, envelope)
        results = [*whole.get("tool_results", ()), *update.get("tool_results", ())]
        whole |= update | {"tool_results": results}
        state = state.model_copy(update={name: value for name, value in update.items() if name != "tool_results"})
    return whole


async def baseline_update(state: RunState, services: Services, queued: QueuedCall, envelope: ToolEnvelope) -> Update:
    """Return what one check of the baseline, the first that is still to come, changes in the state."""
    rest = tuple(known for known in state.baseline_checks if known.key != queued.key)
    error = envelope.artifacts.error
    if error is not None and error.code == OUTCOME_UNKNOWN and not queued.alone:
        # An earlier process of the run was stopped meanwhile. Nothing depends on how often a check is run.
        again = services.mint(queued.call).model_copy(update={"alone": True})
        return {"baseline_checks": (again, *rest)}
    spent = state.budgets.with_call(in_loop=False)
    update: Update = {"baseline_checks": rest, "budgets": spent, "tool_results": [envelope]}
    if error is not None:
        return update
    check = await think(judge, queued, services.results.whole(envelope))
    before = state.baseline.checks if state.baseline else ()
    report = VerifierReport(ok=all(known.ok for known in (*before, check)), checks=(*before, check))
    services.bus.emit("verify", check.name, "baseline", check.model_dump(mode="json"))
    return update | {"baseline": report}


async def taken(services: Services, queued: QueuedCall) -> ToolEnvelope | None:
    """Return the brief result of a check that was begun in the background, once it has ended.

    `None` where it was not begun, or would have to ask: it is then made in the foreground.
    """
    if services.beside is None or not services.beside.begun(queued.key):
        return None
    envelope = await services.beside.result(queued.key)
    error = envelope.artifacts.error
    if error is not None and error.code == "approval_required" and services.answers_itself:
        return None
    return finish(services, envelope)


def may_change(state: RunState, services: Services, queued: QueuedCall) -> bool:
    """Tell whether a call may change what the checks see, or may wait for a human.

    A command with a throw-away copy of the root does not.
    """
    info = services.tools.named(queued.call.tool)
    if info is None or info.read_only:
        return False
    if not info.builtin or info.original != "exec":
        return True
    asked = queued.call.input.get("cmd")
    known = next((command for command in services.context(state).commands if command.name == asked), None)
    return known is None or known.approval or known.root not in ("overlay", "ro")


def joined(before: Update, update: Update) -> Update:
    """Return two updates as one: the newer fields, and the results of `before` after those of `update`.

    A turn's own results stand together, and the beginning of a conversation stays as it was sent.
    """
    results = [*update.get("tool_results", ()), *before.get("tool_results", ())]
    return before | update | ({"tool_results": results} if results else {})
