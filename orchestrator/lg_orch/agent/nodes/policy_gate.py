"""Checks what the gateway offers before any call is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.state import Sandbox, Security

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import RunState, Update
    from lg_orch.tools.tool_info import ToolInfo


async def policy_gate(state: RunState, services: Services) -> Update:
    """Record sandbox and policy digests; refuse when the repository cannot be read at all.

    Does not decide on calls: the gateway does that, call by call.
    """
    tools = services.tools.tools
    expected = services.settings.policy_digest()
    mismatch = tuple(tool.name for tool in tools if tool.policy is not None and tool.policy != expected)
    security = Security(policy_digest=expected, policy_mismatch=mismatch, sandbox=_sandbox(tools), tools=len(tools))
    guards = state.guards
    if mismatch:
        servers = ", ".join(mismatch)
        note = f"The servers of {servers} run with settings that differ from this command's (see `lg-orch doctor`)."
        guards = guards.model_copy(update={"notes": (*guards.notes, note)})
    if services.tools.find("read_file") is None or services.tools.find("list_files") is None:
        offered = ", ".join(tool.name for tool in tools) or "none"
        problem = Problem(
            code="upstream_unavailable",
            message="the gateway offers no tools to read this repository with (lg-fs is missing or down)",
            hint=f"offered: {offered}",
        )
        guards = guards.model_copy(update={"refused": problem})
    services.bus.emit("thought", "policy_gate", "note", {
        "text": f"{len(tools)} tools at the gateway", "tools": [tool.name for tool in tools],
        "security": security.model_dump(mode="json"),
    })  # fmt: skip
    return {"security": security, "guards": guards}


def _sandbox(tools: Sequence[ToolInfo]) -> Sandbox | None:
    for tool in tools:
        if tool.sandbox is not None:
            return Sandbox(
                active=tool.sandbox.get("active") is True, backend=str(tool.sandbox.get("backend", "unknown"))
            )
    return None
