"""What a step adds to the checkpoints, and that nothing of the results is lost by it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lg_orch.agent.channels import SNAPSHOT_EVERY, GraphState, appended
from lg_orch.agent.graph import build_graph
from lg_orch.contracts.plans import Plan, PlanStep, ToolUse
from lg_orch.contracts.state import RunState
from lg_orch.runs.checkpoint import open_saver
from lg_orch.testing import ScriptedBackend
from tests.orchestrator.helpers import world

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig

pytestmark = pytest.mark.anyio
CALLS = SNAPSHOT_EVERY + 20


async def test_a_checkpoint_does_not_grow_with_the_results_and_a_new_process_reads_all_of_them(tmp_path: Path) -> None:
    # Calls that may have an effect: each has a visit of its own.
    uses = tuple(ToolUse(tool="exec__exec", input={"cmd": str(number)}) for number in range(CALLS // 5))
    plan = Plan(steps=tuple(PlanStep(id=f"s{part}", description="d", tools=uses) for part in range(5)))
    budgets = {"max_loops": 1, "max_tool_calls_per_loop": CALLS + 1}
    path = tmp_path / "checkpoints.db"
    async with world(tmp_path, ScriptedBackend(planned=plan), budgets=budgets) as run:
        config: RunnableConfig = {"configurable": {"thread_id": "r"}, "recursion_limit": 10 * CALLS}
        async with open_saver("sqlite", path) as saver:
            await build_graph(saver).ainvoke(
                GraphState(request="go"),
                config,
                context=run.services,
                durability="sync",
            )
        async with open_saver("sqlite", path) as saver:
            found = RunState.model_validate((await build_graph(saver).aget_state(config)).values)
    assert [one.artifacts.call_id for one in found.tool_results] == [
        f"s{part}.{number}" for part in range(5) for number in range(1, CALLS // 5 + 1)
    ]
    with closing(sqlite3.connect(path)) as database:
        sizes = [
            row[0] for row in database.execute("SELECT length(checkpoint) FROM checkpoints ORDER BY checkpoint_id")
        ]
    assert len(sizes) > CALLS
    # The decided calls are in it too, and become fewer by each step; only the snapshot holds all results.
    steps = range(15, len(sizes) - 3)
    assert len([step for step in steps if sizes[step] > sizes[step - 1]]) == 1, sizes


def test_what_was_added_is_the_same_in_one_batch_or_in_several() -> None:
    assert appended(appended([1], [[2], [3]]), [[4]]) == appended([1], [[2], [3], [4]]) == [1, 2, 3, 4]
