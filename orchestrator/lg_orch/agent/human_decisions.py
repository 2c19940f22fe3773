"""Decides what follows when a human answered a call with more than yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.plans import PlannedCall
from lg_orch.tools.gateway_tools import failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState

DENIED = "approval_denied"
STOPPED = "the outcome of a call is not known, and the user chose to stop"


def called_instead(services: Services, queued: QueuedCall, envelope: ToolEnvelope) -> QueuedCall | None:
    """Return the call to make next, under a new key: the edited one, or the lost one that a human says never happened.

    The new key is in the checkpoint before the visit that sends it.
    """
    artifacts, call = envelope.artifacts, queued.call
    if artifacts.decision == "edit":
        why = "as the user changed it"
        return services.mint(PlannedCall(id=f"{call.id}.edit", tool=call.tool, input=artifacts.edited or {}, why=why))
    return services.mint(call) if artifacts.decision == "not_done" else None


def denied(results: Sequence[ToolEnvelope]) -> bool:
    """Tell whether a human refused one of these calls; the result itself says why."""
    errors = (result.artifacts.error for result in results if result.artifacts.decision is None)
    return any(error is not None and error.code == DENIED for error in errors)


def refused_before(state: RunState, queued: QueuedCall) -> ToolEnvelope | None:
    """Return the answer to a call that a human already refused in this run: the human is not asked again."""
    call = queued.call
    for result in state.tool_results:
        error = result.artifacts.error
        if error is None or error.code != DENIED:
            continue
        if (result.tool, result.artifacts.input) == (call.tool, call.input):
            message = f"this exact call was already refused: {error.message}"
            return failure(queued, Problem(code=DENIED, message=message, hint="ask for something else"))
    return None


def is_result(envelope: ToolEnvelope) -> bool:
    """Tell whether this envelope is the call's result; a call that is made again has its result to come."""
    return envelope.artifacts.decision != "not_done"
