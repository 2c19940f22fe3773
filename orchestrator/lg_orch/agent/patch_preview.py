"""Previews a patch before it is made: a file that the run has not read is not changed blindly.

The look is a dry run, and its outcome is in a checkpoint before the visit that sends the patch: a visit that is
repeated after a crash never judges a patch that was made already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.agent.budgets import PATCH_TOOLS
from lg_orch.agent.finished_calls import finish
from lg_orch.agent.read_coverage import ReadCoverage
from lg_orch.agent.stored_results import note_answered_here
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.plans import PlannedCall
from lg_orch.tools.gateway_tools import failure

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState

UNJUDGED = "dry runs need approval here, so it was not checked whether files were read before being changed"


def wants_look(services: Services, queued: QueuedCall) -> bool:
    """Tell whether this is a patch whose files were not previewed yet."""
    info = services.tools.named(queued.call.tool)
    if queued.looked or info is None or not info.builtin or info.original not in PATCH_TOOLS:
        return False
    return queued.call.input.get("dry_run") is not True


async def look(services: Services, queued: QueuedCall) -> ToolEnvelope:
    """Return the file server's answer to a dry run of the patch, whole; no human is asked."""
    arguments: dict[str, Any] = {**queued.call.input, "dry_run": True}
    call = PlannedCall(
        id=f"{queued.call.id}.look", tool=queued.call.tool, input=arguments, why="look at what it would change"
    )
    timeout = services.budgets.call_timeout(services.wall_s())
    envelope = await services.tools.call(services.mint(call), step="executor", timeout_s=timeout, may_ask=False)
    finish(services, envelope)
    return envelope


def changed_blindly(state: RunState, services: Services, looked: ToolEnvelope) -> list[str]:
    """Return what a patch would change that the run has not seen, by its dry run."""
    if not looked.ok:
        return []
    results = []
    for result in services.whole_results(state):
        info = services.tools.named(result.tool)
        results.append((info.original if info is not None and info.builtin else "", result))
    return ReadCoverage.of(results).blind(looked)


def sent_back(state: RunState, services: Services, queued: QueuedCall, looked: ToolEnvelope) -> ToolEnvelope | None:
    """Return the answer to a patch that would change a file blindly; `None` for one that may be made.

    One whose dry run failed may be: the call itself says why it fails, and that failure belongs in the ledger.
    """
    blind = changed_blindly(state, services, looked)
    if not blind:
        return None
    note_answered_here(services, queued)
    message = f"{'; '.join(blind)}: read it, then change it"
    answer = failure(queued, Problem(code="invalid_arguments", message=message, hint="nothing was changed"))
    return finish(services, answer)
