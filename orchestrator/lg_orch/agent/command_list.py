"""Reads what the command server lists: which commands there are, and which arguments each allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.repository import Command

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope

STEP = "planner"
MAX_ENVIRONMENT = 1_000


async def commands_now(services: Services) -> tuple[Command, ...]:
    """Ask the command server; nothing where there is none, or where it does not answer."""
    from lg_orch.agent.finished_calls import finish

    lister = services.tools.find("list_commands")
    if lister is None:
        return ()
    call = PlannedCall(id="context.checks", tool=lister.name, input={}, why="see which reports the checks can write")
    limit = services.budgets.call_timeout(services.wall_s())
    envelope = await services.tools.call(services.mint(call), step=STEP, timeout_s=limit, may_ask=False)
    finish(services, envelope)
    return commands_of(envelope)


def commands_of(envelope: ToolEnvelope | None) -> tuple[Command, ...]:
    """Return what an answer of `list_commands` lists."""
    return commands_in(envelope.artifacts.structured if envelope is not None and envelope.ok else None)


def commands_in(told: Any) -> tuple[Command, ...]:
    """Return the commands of a structured answer of `list_commands`."""
    told = told if isinstance(told, dict) else {}
    return tuple(
        Command(
            name=str(command["name"]),
            description=str(command.get("description", "")),
            approval=bool(command.get("approval")),
            reason="" if command.get("available") is True else str(command.get("reason") or "not available"),
            args_allow=tuple(str(entry) for entry in _list(command.get("args_allow"))),
            timeout_s=_seconds(command.get("timeout_s")),
            environment=str(command.get("environment") or "")[:MAX_ENVIRONMENT],
            root=str(command.get("root") or ""),
        )
        for command in _list(told.get("commands"))
        if isinstance(command, dict) and "name" in command
    )


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < float("inf") else 0.0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
