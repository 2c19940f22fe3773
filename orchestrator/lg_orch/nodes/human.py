"""What follows when a human answered a call with more than yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.models_io import PlannedCall

if TYPE_CHECKING:
    from lg_orch.models_io import ToolEnvelope
    from lg_orch.services import Services
    from lg_orch.state import QueuedCall

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


def is_result(envelope: ToolEnvelope) -> bool:
    """Whether this is what came of the call; one that is made again has its result to come."""
    return envelope.artifacts.decision != "not_done"
