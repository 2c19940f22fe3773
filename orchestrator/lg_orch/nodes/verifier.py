"""Runs the plan's checks, one a visit. Only the exit code of our own call counts as passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.models_io import Check, VerifierReport
from lg_orch.nodes.executor import perform
from lg_orch.nodes.human import STOPPED, called_instead, is_result
from lg_orch.nodes.planner import stopped

if TYPE_CHECKING:
    from lg_orch.models_io import ToolEnvelope
    from lg_orch.services import Services
    from lg_orch.state import QueuedCall, RunState, Update

SUMMARY_CHARS = 300


async def verifier(state: RunState, services: Services) -> Update:
    """Run the next check; without any, claim nothing."""
    services.check_stop()
    if not state.checks:
        return {}
    stop = services.budgets.run_stop(state.budgets, services.wall_s())
    if stop is None and state.budgets.room == 0:
        stop = "the loop's tool calls were used before all checks ran (budgets.max_tool_calls_per_loop)"
    if stop is not None:
        return {"guards": stopped(state, stop, len(state.checks)), "checks": ()}
    queued, *rest = state.checks
    envelope, spent = await perform(state, services, queued, step="verifier")
    instead = called_instead(services, queued, envelope)
    if instead is not None:
        rest = [instead, *rest]
    if not is_result(envelope):
        return {"checks": tuple(rest), "budgets": spent}
    check = judge(queued, services.results.whole(envelope))
    before = state.verification.checks if state.verification else ()
    report = VerifierReport(ok=all(one.ok for one in (*before, check)), checks=(*before, check))
    services.bus.emit("verify", check.name, "end", check.model_dump(mode="json"))
    update: Update = {
        "verification": report,
        "checks": tuple(rest),
        "budgets": spent,
        "tool_results": [envelope],
    }
    if envelope.artifacts.decision == "stop":
        update |= {"checks": (), "guards": stopped(state, STOPPED, len(rest))}
    return update


def judge(queued: QueuedCall, envelope: ToolEnvelope) -> Check:
    """Passed means: the call came back and its command ended with status 0."""
    arguments = queued.call.input
    words = [str(arguments.get("cmd", queued.call.tool)), *(str(word) for word in arguments.get("args") or ())]
    return Check(
        name=" ".join(words)[:200],
        ok=envelope.ok and envelope.exit_code == 0,
        tool=queued.call.tool,
        exit_code=envelope.exit_code,
        summary=_summary(envelope),
    )


def _summary(envelope: ToolEnvelope) -> str:
    for text in (envelope.stdout, envelope.stderr):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-1][:SUMMARY_CHARS]
    return "no output"
