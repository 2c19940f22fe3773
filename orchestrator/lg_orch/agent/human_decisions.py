"""What follows when a human answered a call with more than yes or no."""

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
STOPPED = "what became of a call is not known, and a human chose to stop"


def called_instead(services: Services, queued: QueuedCall, envelope: ToolEnvelope) -> QueuedCall | None:
    """The call to make next under a key of its own: the edited one, or the same one that a human says never happened.

    The new key is in the checkpoint before the visit that sends it.
    """
    artifacts, call = envelope.artifacts, queued.call
    if artifacts.decision == "edit":
        why = "as the user changed it"
        return services.mint(PlannedCall(id=f"{call.id}.edit", tool=call.tool, input=artifacts.edited or {}, why=why))
    return services.mint(call) if artifacts.decision == "not_done" else None


def denial(results: Sequence[ToolEnvelope]) -> str:
    """Why the plan cannot be carried out as it is: what a human refused, in their words; "" when nothing was."""
    for result in results:
        error = result.artifacts.error
        if error is not None and error.code == DENIED and result.artifacts.decision is None:
            return f"the user refused {result.tool}: {error.message}"
    return ""


def refused_before(state: RunState, queued: QueuedCall) -> ToolEnvelope | None:
    """The answer to a call that a human refused in this run already: it is not asked again."""
    call = queued.call
    for result in state.tool_results:
        error = result.artifacts.error
        if error is None or error.code != DENIED:
            continue
        if (result.tool, result.artifacts.input) == (call.tool, call.input):
            message = f"this very call was refused before: {error.message}"
            return failure(queued, Problem(code=DENIED, message=message, hint="ask for something else"))
    return None


def is_result(envelope: ToolEnvelope) -> bool:
    """Whether this is what came of the call; one that is made again has its result to come."""
    return envelope.artifacts.decision != "not_done"
