"""Asks a human about a call that was started and whose outcome is unknown, and applies the answer.

The gateway says `outcome_unknown` only where neither the server's own journal nor a retry can tell. Nothing is retried
before a human has looked.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.human.approvals import Question

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall
    from lg_orch.human.approvals import HumanAnswer

SHOWN_CHARS = 2_000


def outcome_question(queued: QueuedCall, *, builtin: bool, lost_before: bool = False) -> Question:
    """Return the question about one lost call."""
    arguments = json.dumps(queued.call.input, ensure_ascii=False)
    if len(arguments) > SHOWN_CHARS:
        arguments = f"{arguments[:SHOWN_CHARS]} … ({len(arguments)} characters)"
    message = (
        "A tool call was started, but it is not known whether it finished.\n"
        f"tool: {queued.call.tool}\narguments: {arguments}\n"
        "Check what it would have changed. Then answer: done (it was carried out), not done (make it again, as a new "
        "call), or stop."
    )
    return Question(
        kind="outcome",
        tool=queued.call.tool,
        builtin=builtin,
        message=message,
        key=f"outcome.{queued.key}",
        call_id=queued.call.id,
        lost_before=lost_before,
    )


def after_outcome(envelope: ToolEnvelope, verdict: HumanAnswer) -> ToolEnvelope:
    """Return the call's envelope, updated with the human's answer."""
    if verdict.decision == "done":
        text = f"The outcome was lost; the user ({verdict.by}) looked and says that the call was carried out."
        known: dict[str, Any] = {"error": None, "approved_by": verdict.by}
        artifacts = envelope.artifacts.model_copy(update=known)
        return envelope.model_copy(update={"ok": True, "stdout": text, "stderr": "", "artifacts": artifacts})
    decision = "not_done" if verdict.decision == "not_done" else "stop"
    artifacts = envelope.artifacts.model_copy(update={"decision": decision, "approved_by": verdict.by})
    return envelope.model_copy(update={"artifacts": artifacts})
