"""Writes the plan, or a new one, or starts the next loop for calls that did not fit into the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.checks.baseline_beside import may_go_beside
from lg_orch.agent.checks.check_commands import missing_checks, named_checks
from lg_orch.agent.checks.planned_checks import baselines, changes, check_calls, planned_checks
from lg_orch.agent.interfaces import ActingBackend, Work
from lg_orch.agent.services import problem_of, think
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.contracts.text import many

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.budget_use import Spent
    from lg_orch.contracts.plans import Plan, Route, ToolUse
    from lg_orch.contracts.state import Guards, RunState, Update


async def planner(state: RunState, services: Services) -> Update:
    """Begin a loop: with a new plan, or with the calls left over."""
    budgets = services.budgets
    services.check_wall()
    stop = budgets.loop_stop(state.budgets)
    if stop is not None:
        return {"guards": stopped(state, stop, len(state.queue)), "queue": (), "replan": ""}
    spent = budgets.next_loop(state.budgets)
    if state.queue:
        text = f"loop {spent.loop}: {len(state.queue)} calls carried over"
        services.bus.emit("thought", "planner", "note", {"text": text})
        return {"budgets": spent}
    if state.intent is None:
        return _refuse(state, Problem(code="internal", message="planned before the request was routed"))
    try:
        plan, reflection = await _plan(state, state.intent, services)
    except ThinkingFailed as error:
        if state.plan is None:
            return _refuse(state, problem_of(error))
        return {"guards": stopped(state, error.text(), 0), "replan": ""}
    return _begin(state, services, plan, reflection, spent, await planned_checks(state, services, plan))


def _begin(
    state: RunState, services: Services, plan: Plan, reflection: str, spent: Spent, uses: tuple[ToolUse, ...]
) -> Update:
    """Journal the plan and decide its calls and checks, as far as the loop has room."""
    budgets = services.budgets
    known = {tool.name for tool in services.tools.tools}
    named = [call.tool for call in plan.calls()] + [check.tool for check in uses]
    unknown = sorted({tool for tool in named if tool not in known})
    data = {
        "text": f"{many(len(plan.steps), 'step')}, {many(len(named), 'call')}",
        "plan": plan.model_dump(mode="json"),
    }
    services.bus.emit("thought", "planner", "end", data | ({"reflection": reflection} if reflection else {}))
    if unknown:
        message = f"the plan names tools that the gateway does not offer: {', '.join(unknown)}"
        return {"plan": plan, **_refuse(state, Problem(code="invalid_arguments", message=message))}
    calls, checks = list(plan.calls()), check_calls(uses, spent.loop)
    kept = tuple(services.mint(check) for check in checks[: budgets.check_room(len(calls))])
    update: Update = {
        "plan": plan,
        "budgets": spent,
        "queue": tuple(services.mint(call) for call in calls),
        "checks": kept,
        "verification": None,
        "repeats": (),
        "repeated": None,
        "replan": "",
        "words": "",
    }
    if reflection:
        update["reflections"] = [reflection]
    if state.plan is None and isinstance(services.backend, ActingBackend) and changes(state):
        update["baseline_checks"] = baselines(state, services, kept)
        update["baseline_now"] = services.beside is None or not may_go_beside(state)
    if len(kept) < len(checks):
        why = "the plan names more checks than a loop has calls (budgets.max_tool_calls_per_loop)"
        update["guards"] = stopped(state, why, len(checks) - len(kept))
    return update


async def _plan(state: RunState, route: Route, services: Services) -> tuple[Plan, str]:
    """The plan, and what was learnt from the one before it."""
    backend = services.backend
    if not isinstance(backend, ActingBackend):
        names = [tool.name for tool in services.tools.tools]
        return await think(backend.plan, services.request(state), route, services.context(state), names), ""
    work = work_of(state, services)
    if state.plan is not None:
        repair = await think(backend.replan, work)
        return repair.plan, repair.reflection
    plan = await think(backend.draft, work)
    if not plan.verification and changes(state):
        _say_what_checks(state, services)
    return plan, ""


def _say_what_checks(state: RunState, services: Services) -> None:
    """Say at once what will prove the change, or that nothing will: a user may rather make a check runnable."""
    context = services.context(state)
    named = named_checks(context) if context.commands else []
    if named:
        services.bus.emit("thought", "planner", "note", {"text": f"checks: {', '.join(named)}"})
    for name, why in missing_checks(context).items():
        services.bus.emit("thought", "planner", "note", {"text": f"no check: {name} cannot be run here: {why}"})


def work_of(state: RunState, services: Services) -> Work:
    """Return what a backend that acts is told. Raises `NotFound` when a result is gone from disk."""
    if state.intent is None:
        raise ThinkingFailed("asked to work before the request was routed")
    contradiction = state.replan
    passed = state.verification is not None and state.verification.ok
    if not contradiction and passed and state.review is not None and not state.review.ok:
        contradiction = f"the checks passed, but a review found: {'; '.join(state.review.problems)}"
    services.control.heard = len(services.control.remarks)
    return Work(
        request=state.request,
        remarks=services.control.remarks,
        route=state.intent,
        context=services.context(state),
        plan=state.plan,
        results=services.whole_results(state),
        baseline=state.baseline,
        verification=state.verification,
        reflections=state.reflections,
        contradiction=contradiction,
    )


def stopped(state: RunState, why: str, dropped: int) -> Guards:
    """Return the guards with a stop noted; the first reason stays, what was dropped adds up."""
    guards = state.guards
    return guards.model_copy(update={"stopped": guards.stopped or why, "dropped": guards.dropped + dropped})


def _refuse(state: RunState, problem: Problem) -> Update:
    return {"guards": state.guards.model_copy(update={"refused": problem})}
