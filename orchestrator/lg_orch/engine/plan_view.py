"""Shows the plan of a run that stops before it changes anything, and takes what the user made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.contracts.plans import Plan, PlanStep
from lg_orch.contracts.state import EXIT_STATUS, Final
from lg_orch.contracts.text import code_span, one_line
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.state import RunState

MAX_STEPS = 50
MAX_STEP = 2_000
"""Characters of one step."""
MAX_FILES = 8
_STEP = re.compile(r"\s*(?:\d{1,3}[.)]|[-*])\s+(?P<text>\S.*)")


def plan_shown(run_id: str, state: RunState) -> Final | None:
    """Return the report of a run that waits with its plan; `None` when it made none."""
    if state.plan is None or state.guards.refused is not None:
        return None
    parts = ["**Plan.** Nothing was changed.", "\n".join(plan_lines(state.plan))]
    if state.plan.acceptance:
        parts.append("Done when:\n\n" + "\n".join(f"- {code_span(text, MAX_STEP)}" for text in state.plan.acceptance))
    calls = [queued.call for queued in state.checks]
    checks = [" ".join(map(str, (use.input.get("cmd"), *(use.input.get("args") or ())))) for use in calls]
    if checks:
        parts.append(f"Checks: {', '.join(code_span(check) for check in checks)}.")
    parts.append(
        f"`lg-orch resume {run_id}` carries it out. `lg-orch resume {run_id} --plan FILE` takes a file with your "
        f"steps, one a line; `lg-orch resume {run_id} --say TEXT` carries it out and says what should be different."
    )
    return Final(status="waiting", exit_status=EXIT_STATUS["waiting"], text="\n\n".join(parts))


def plan_lines(plan: Plan) -> list[str]:
    """Return the steps as a numbered list. A model wrote them: each stays on its line, as a code span."""
    lines = []
    for number, step in enumerate(plan.steps, start=1):
        files = (
            f" ({', '.join(code_span(path) for path in step.files_touched[:MAX_FILES])})" if step.files_touched else ""
        )
        lines.append(f"{number}. {code_span(step.description, MAX_STEP)}{files}")
    return lines


def plan_text(plan: Plan) -> str:
    """Return the steps as plain text for an editor."""
    return (
        "\n".join(f"{n}. {one_line(step.description, MAX_STEP)}" for n, step in enumerate(plan.steps, start=1)) + "\n"
    )


def steps_in(text: str) -> tuple[str, ...]:
    """Return the steps that a text lists, one a line, numbered or with dashes. Raises `InvalidArguments`."""
    found = [matched["text"].strip() for line in text.splitlines() if (matched := _STEP.fullmatch(line))]
    if not found or len(found) > MAX_STEPS or any(len(step) > MAX_STEP for step in found):
        raise InvalidArguments(
            f"a plan has 1 to {MAX_STEPS} steps of at most {MAX_STEP:,} characters, and this text has {len(found)}",
            hint="write one step a line: `1. change calc.py`",
        )
    return tuple(found)


def with_steps(plan: Plan, steps: Sequence[str]) -> Plan:
    """Return a plan with these steps; one that was not changed stays as it is."""
    known = {one_line(step.description, MAX_STEP): step for step in plan.steps}
    made = [
        known.get(one_line(text, MAX_STEP), PlanStep(id="p0s1", description=text)).model_copy(update={"id": f"p0s{n}"})
        for n, text in enumerate(steps, start=1)
    ]
    return plan.model_copy(update={"steps": tuple(made)})
