"""Enforces a run's limits. Token and cost limits are enforced in `llm.cost.spending`.

A loop is one round of plan, execute, verify. The context builder's fixed few calls belong to no loop but count in
`calls`. Checks of the verifier are part of the loop: the executor leaves room for them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.budget_use import Spent
from lg_orch.contracts.errors import OutOfBudget

if TYPE_CHECKING:
    from lg_policy.config.settings import BudgetSettings

PATCH_TOOLS = ("apply_patch",)
GRACE_S = 5
"""Seconds that a call is waited for beyond its limit."""
FIXED_VISITS = 5
"""ingest, policy_gate, context_builder, router, reporter."""


class Budgets:
    """Answers "may the run continue?": with `None`, or with the reason for the report."""

    def __init__(self, limits: BudgetSettings) -> None:
        self.limits = limits

    def wall_stop(self, wall_s: float) -> str | None:
        """Return why the run must stop now. Tokens and money are checked before each request (`llm.cost.spending`)."""
        if wall_s >= self.limits.max_wall_s:
            return f"the run reached its time limit of {self.limits.max_wall_s:g} s (budgets.max_wall_s)"
        return None

    def check_wall(self, wall_s: float) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        stop = self.wall_stop(wall_s)
        if stop is not None:
            raise OutOfBudget(stop, limit="max_wall_s")

    def next_loop(self, spent: Spent) -> Spent:
        """Return what is spent once the next loop has begun; ask `loop_stop` first."""
        return spent.model_copy(update={"loop": spent.loop + 1, "room": self.limits.max_tool_calls_per_loop})

    def loop_stop(self, spent: Spent) -> str | None:
        """Return why no further loop may begin."""
        if spent.loop < self.limits.max_loops:
            return None
        if spent.room > 0:
            used = f"all {self.limits.max_loops} loops were used"
            return f"{used}; each new plan takes one (budgets.max_loops)"
        return (
            f"all {self.limits.max_loops} loops of {self.limits.max_tool_calls_per_loop} tool calls were used "
            "(budgets.max_loops, budgets.max_tool_calls_per_loop)"
        )

    def check_room(self, planned_calls: int) -> int:
        """Return how many checks a loop takes: one call of the plan, if it has any, must fit beside them."""
        return self.limits.max_tool_calls_per_loop - (1 if planned_calls else 0)

    def patch_stop(self, size: int) -> str | None:
        """Return why a patch of `size` bytes may not be sent."""
        if size > self.limits.max_patch_bytes:
            return f"a patch of {size} bytes is over budgets.max_patch_bytes = {self.limits.max_patch_bytes}"
        return None

    def call_timeout(self, wall_s: float) -> float:
        """Return the seconds to wait for one call when the run is `wall_s` old.

        A little longer than the setting: a command whose own limit is the same ends first, with what it printed.
        """
        return max(0.1, min(self.limits.tool_timeout_s + GRACE_S, self.limits.max_wall_s - wall_s))

    def recursion_limit(self) -> int:
        """Return the most graph steps that a run within its budgets can take; one more is a fault."""
        # Each call may be put back twice: to be made alone or as a human changed it, and once its files were looked at.
        per_loop = 6 + 4 * self.limits.max_tool_calls_per_loop
        # Once with the first plan, and once before the first change, for the packages that it touches.
        baseline = 2 * max(self.limits.max_tool_calls_per_loop, self.limits.max_checks)
        # Checks that passed are run once more where a change edits what checks it.
        again = max(self.limits.max_tool_calls_per_loop, self.limits.max_checks)
        # One more visit where the backend could not be asked and the run breaks off, one that waits for the baseline.
        return FIXED_VISITS + baseline + again + self.limits.max_loops * per_loop + 3


def executor_room(spent: Spent, checks: int) -> int:
    """Return how many calls the executor may still make in this loop.

    Room for the `checks` planned checks is kept free.
    """
    return max(0, spent.room - checks)


def patch_bytes(original_tool: str, arguments: dict[str, Any]) -> int:
    """Return the bytes that a call would change; 0 for tools that change no files."""
    if original_tool not in PATCH_TOOLS:
        return 0
    return len(json.dumps(arguments, ensure_ascii=False).encode())
