"""Answers `mcp_result` from the run's stored results, without the gateway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from lg_orch.tools.gateway_tools import failure
from lg_orch.tools.result_text import whole_text

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import QueuedCall, RunState

RESULT_TOOL = "mcp_result"
_OURS = re.compile(r"r([1-9][0-9]{0,5})")
MAX_READ = 20_000
"""Characters of one answer of `mcp_result`."""


def answer_here(state: RunState, services: Services, queued: QueuedCall) -> ToolEnvelope | None:
    """Return the answer to a call that does not go to the gateway, or `None` for a call that does."""
    answer = _kept(state, services, queued) if queued.call.tool == RESULT_TOOL else None
    if answer is not None:
        note_answered_here(services, queued)
    return answer


def note_answered_here(services: Services, queued: QueuedCall) -> None:
    """Journal the begin of a call that never goes to the gateway."""
    services.bus.emit("tool", queued.call.tool, "begin", {
        "call_id": queued.call.id, "step": "executor", "input": queued.call.input, "why": queued.call.why,
        "idempotency_key": queued.key, "answered_here": True,
    })  # fmt: skip


def _kept(state: RunState, services: Services, queued: QueuedCall) -> ToolEnvelope | None:
    """A result of this run by its number; ids of the gateway's own are left to it."""
    arguments = queued.call.input
    named = _OURS.fullmatch(str(arguments.get("result_id", "")))
    if named is None:
        return None
    number = int(named[1]) - services.earlier_calls
    if number < 1:
        told = f"{named[0]} is a result of an earlier request in this conversation"
        return failure(queued, Problem(code="not_found", message=told, hint="make the call again"))
    if number > len(state.tool_results):
        return failure(queued, Problem(code="not_found", message=f"this run has no result {named[0]}"))
    text = whole_text(services.results.whole(state.tool_results[number - 1]))
    offset, limit = _count(arguments.get("offset"), 0), _count(arguments.get("limit"), MAX_READ)
    part = text[offset : offset + min(limit, MAX_READ)]
    end = offset + len(part)
    if end < len(text):
        part += f"\n[{len(text) - end} characters follow: offset={end}]"
    artifacts = Artifacts(call_id=queued.call.id, input=arguments, why=queued.call.why)
    return ToolEnvelope(
        tool=queued.call.tool, ok=True, exit_code=None, stdout=part, stderr="", timing_ms=0, artifacts=artifacts
    )


def _count(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 and not isinstance(value, bool) else otherwise
