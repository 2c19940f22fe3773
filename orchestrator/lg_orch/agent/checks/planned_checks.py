"""Chooses the checks of a run: those that its plan names, else the project's own for what is changed.

Before anything is changed that can only be foreseen: the root's, and those of packages that the request or the plan
names. The first patch tells the rest, so the checks of the packages that it touches are run just before it. A package
that a later change touches has no baseline: what fails there may come from the change before, and counts as new.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lg_orch.agent.checks.check_commands import ChosenChecks, checks_for
from lg_orch.agent.checks.packages import mentioned
from lg_orch.agent.checks.report_options import with_reports
from lg_orch.agent.command_list import commands_now
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patches import changed_paths
from lg_orch.contracts.plans import CHANGES, PlannedCall, ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.agent.services import Services
    from lg_orch.contracts.plans import Plan
    from lg_orch.contracts.state import QueuedCall, RunState

CHECK_ID, BASELINE_ID = "check.", "base."


def changes(state: RunState) -> bool:
    """Tell whether the request is done only when files were changed."""
    return state.intent is not None and state.intent.intent in CHANGES


async def planned_checks(state: RunState, services: Services, plan: Plan) -> tuple[ToolUse, ...]:
    """Return the checks that a new plan begins with."""
    chosen = _chosen(state, services, plan)
    commands = services.context(state).commands
    if chosen and not commands:
        commands = await commands_now(services)
    return with_reports(chosen, commands, state.security.sandbox, services.context(state).packages)


def _chosen(state: RunState, services: Services, plan: Plan) -> tuple[ToolUse, ...]:
    if plan.verification:
        return plan.verification
    if state.intent is not None and state.intent.wants_check:
        return _uses(services, own_checks(state, services))
    if not changes(state):
        return ()
    return _uses(services, own_checks(state, services, _foreseen(state, services, plan)))


def own_checks(state: RunState, services: Services, paths: Iterable[str] = ()) -> ChosenChecks:
    """Return the project's checks for the files that the run changed, and for `paths`."""
    whole = services.whole_results(state)
    changed = [path for result in whole for path in changed_paths(services, result)]
    return checks_for(services.context(state), [*changed, *paths], services.budgets.limits)


def renewed(state: RunState, services: Services, paths: Iterable[str] = ()) -> tuple[QueuedCall, ...]:
    """Return the checks to come, once the run changed files or is about to change `paths`; a plan's own checks stay."""
    if (
        state.plan is None
        or state.plan.verification
        or not changes(state)
        or not isinstance(services.backend, ActingBackend)
    ):
        return state.checks
    uses = _uses(services, own_checks(state, services, paths))
    context = services.context(state)
    uses = with_reports(uses, context.commands, state.security.sandbox, context.packages)
    known = {json.dumps(queued.call.input, sort_keys=True): queued for queued in state.checks}
    calls = check_calls(uses, state.budgets.loop)
    if [call.input for call in calls] == [queued.call.input for queued in known.values()]:
        return state.checks
    return tuple(services.mint(call) for call in calls)


def baselines(state: RunState, services: Services, checks: Sequence[QueuedCall]) -> tuple[QueuedCall, ...]:
    """Return the checks that have no baseline yet, to be run before anything is changed."""
    ran = [result for result in services.whole_results(state) if result.artifacts.call_id.startswith(BASELINE_ID)]
    missing = [queued.call for queued in checks if queued.call.input not in [known.artifacts.input for known in ran]]
    return tuple(
        services.mint(call.model_copy(update={"id": f"{BASELINE_ID}{number}"}))
        for number, call in enumerate(missing, start=len(ran) + 1)
    )


def check_calls(uses: Sequence[ToolUse], loop: int) -> list[PlannedCall]:
    """Return checks as calls, with ids `check.<n>`, from the second loop on `check.<loop>.<n>`."""
    prefix = CHECK_ID if loop == 1 else f"{CHECK_ID}{loop}."
    return [
        PlannedCall(id=f"{prefix}{number}", tool=use.tool, input=use.input, why="check")
        for number, use in enumerate(uses, start=1)
    ]


def _uses(services: Services, chosen: ChosenChecks) -> tuple[ToolUse, ...]:
    runner = services.tools.find("exec")
    return (
        tuple(ToolUse(tool=runner.name, input=check.input()) for check in chosen.checks) if runner is not None else ()
    )


def _foreseen(state: RunState, services: Services, plan: Plan) -> list[str]:
    """A name in each package that the request or the plan mentions."""
    told = [services.request(state)]
    for step in plan.steps:
        told += [step.description, *step.files_touched, *(json.dumps(use.input) for use in step.tools)]
    packages = [package.path for package in services.context(state).packages]
    return [f"{path}/-" for path in mentioned("\n".join(told), packages)]
