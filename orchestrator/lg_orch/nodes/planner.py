"""Writes the plan, or opens the next loop for calls that did not fit into the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.errors import ThinkingFailed
from lg_orch.models_io import PlannedCall, Problem
from lg_orch.seams import ActingMind
from lg_orch.services import problem_of, think
from lg_policy.errors import LimitExceeded

if TYPE_CHECKING:
    from lg_orch.models_io import Plan, Route
    from lg_orch.services import Services
    from lg_orch.state import Guards, RunState, Update


CHECK_ID = "check."


async def planner(state: RunState, services: Services) -> Update:
    """Begin a loop: with a new plan the first time, with the calls left over later."""
    budgets = services.budgets
    stop = budgets.run_stop(state.budgets, services.wall_s()) or budgets.loop_stop(state.budgets)
    if stop is not None:
        return {"guards": stopped(state, stop, len(state.queue)), "queue": ()}
    spent = budgets.next_loop(state.budgets)
    if state.queue:
        text = f"loop {spent.loop}: {len(state.queue)} calls carried over"
        services.bus.emit("thought", "planner", "note", {"text": text})
        return {"budgets": spent}
    if state.intent is None:
        return _refuse(state, Problem(code="internal", message="planned before the request was routed"))
    try:
        plan = await _plan(state, state.intent, services)
    except (ThinkingFailed, LimitExceeded) as error:
        if state.plan is None:
            return _refuse(state, problem_of(error))
        return {"guards": stopped(state, error.text(), 0)}
    known = {tool.name for tool in services.tools.tools}
    named = [call.tool for call in plan.calls()] + [check.tool for check in plan.verification]
    unknown = sorted({tool for tool in named if tool not in known})
    services.bus.emit("thought", "planner", "end", {
        "text": f"{len(plan.steps)} steps, {len(named)} calls", "plan": plan.model_dump(mode="json"),
    })  # fmt: skip
    if unknown:
        message = f"the plan names tools that the gateway does not offer: {', '.join(unknown)}"
        return {"plan": plan, **_refuse(state, Problem(code="invalid_arguments", message=message))}
    calls, checks = list(plan.calls()), check_calls(plan, spent.loop)
    kept = checks[: budgets.check_room(len(calls))]
    update: Update = {
        "plan": plan,
        "budgets": spent,
        "queue": tuple(services.mint(call) for call in calls),
        "checks": tuple(services.mint(check) for check in kept),
        "verification": None,
    }
    if len(kept) < len(checks):
        why = "the plan names more checks than a loop has calls (budgets.max_tool_calls_per_loop)"
        update["guards"] = stopped(state, why, len(checks) - len(kept))
    return update


async def _plan(state: RunState, route: Route, services: Services) -> Plan:
    mind = services.mind
    if isinstance(mind, ActingMind) and state.verification is not None:
        results = services.whole_results(state)
        return await think(
            mind.replan, services.request(state), route, services.context(state), results, state.verification
        )
    names = [tool.name for tool in services.tools.tools]
    return await think(services.mind.plan, services.request(state), route, services.context(state), names)


def stopped(state: RunState, why: str, dropped: int) -> Guards:
    """The guards with a budget's stop noted; the first reason stays, what was dropped adds up."""
    guards = state.guards
    return guards.model_copy(update={"stopped": guards.stopped or why, "dropped": guards.dropped + dropped})


def _refuse(state: RunState, problem: Problem) -> Update:
    return {"guards": state.guards.model_copy(update={"refused": problem})}


def check_calls(plan: Plan, loop: int) -> list[PlannedCall]:
    """The plan's checks as calls, with ids `check.<n>`, from the second loop on `check.<loop>.<n>`."""
    prefix = CHECK_ID if loop == 1 else f"{CHECK_ID}{loop}."
    return [
        PlannedCall(id=f"{prefix}{number}", tool=use.tool, input=use.input, why="check")
        for number, use in enumerate(plan.verification, start=1)
    ]
