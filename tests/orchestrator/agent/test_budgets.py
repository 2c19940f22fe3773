from __future__ import annotations

import anyio
import pytest

from lg_orch.agent.budgets import Budgets, executor_room, patch_bytes
from lg_orch.contracts.budget_use import Spent
from lg_orch.contracts.errors import OutOfBudget
from lg_orch.contracts.plans import Plan, PlanStep, Route, ToolUse
from lg_orch.testing import ScriptedBackend
from lg_policy.config.settings import BudgetSettings
from tests.orchestrator.helpers import world

pytestmark = pytest.mark.anyio


def budgets(**values: float) -> Budgets:
    return Budgets(BudgetSettings.model_validate(values))


def test_a_run_stops_at_its_wall_clock() -> None:
    limits = budgets(max_wall_s=10)
    assert limits.wall_stop(9.9) is None
    assert "max_wall_s" in (limits.wall_stop(10) or "")


def test_a_loop_has_room_for_its_calls_and_keeps_free_what_the_checks_need() -> None:
    limits = budgets(max_tool_calls_per_loop=3)
    spent = limits.next_loop(Spent())
    assert (spent.loop, spent.room) == (1, 3)
    assert executor_room(spent, 1) == 2
    assert executor_room(spent.with_call().with_call(), 1) == 0
    assert spent.with_call(in_loop=False).room == 3


def test_calls_of_the_context_builder_count_but_belong_to_no_loop() -> None:
    assert Spent().with_call(in_loop=False) == Spent(calls=1)


def test_a_call_may_not_outlast_the_run() -> None:
    limits = budgets(tool_timeout_s=60, max_wall_s=100)
    assert limits.call_timeout(0) == 65, "a command that has the same limit ends before and says what it printed"
    assert limits.call_timeout(70) == 30


def test_only_patches_count_as_patch_bytes() -> None:
    assert patch_bytes("read_file", {"path": "x"}) == 0
    assert patch_bytes("apply_patch", {"patch": "ä"}) == len('{"patch": "ä"}'.encode())
    assert budgets(max_patch_bytes=10).patch_stop(10) is None
    assert "max_patch_bytes" in (budgets(max_patch_bytes=10).patch_stop(11) or "")


@pytest.mark.parametrize(("calls", "limit", "loops"), [(5, 2, 3), (6, 2, 3), (4, 4, 1), (30, 3, 10), (1, 1, 1)])
async def test_a_run_within_its_budget_makes_every_call_and_stays_below_the_recursion_limit(
    tmp_path_factory: pytest.TempPathFactory, calls: int, limit: int, loops: int
) -> None:
    uses = tuple(ToolUse(tool="fs__read_file", input={"path": f"{n}"}) for n in range(calls))
    backend = ScriptedBackend(planned=Plan(steps=(PlanStep(id="s", description="d", tools=uses),)))
    limits = {"max_tool_calls_per_loop": limit, "max_loops": loops}
    async with world(tmp_path_factory.mktemp("s"), backend, budgets=limits) as run:
        with anyio.fail_after(60):
            state = await run.go("read")
    assert len(state.tool_results) == calls
    assert state.final is not None
    assert state.final.status == "done"


async def test_calls_beyond_all_loops_are_dropped_and_the_run_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    uses = tuple(ToolUse(tool="fs__read_file", input={"path": f"{n}"}) for n in range(7))
    check = ToolUse(tool="exec__exec", input={"cmd": "pytest"})
    plan = Plan(steps=(PlanStep(id="s", description="d", tools=uses),), verification=(check,))
    async with world(
        tmp_path_factory.mktemp("s"),
        ScriptedBackend(planned=plan),
        budgets={"max_tool_calls_per_loop": 3, "max_loops": 2},
    ) as run:
        with anyio.fail_after(60):
            state = await run.go("read")
        assert [params.name for params in run.gateway.calls].count("exec__exec") == 1
    assert len(state.tool_results) == 5  # each loop keeps room for the check, the last one runs it
    assert state.guards.dropped == 3
    assert state.final is not None
    assert state.final.status == "failed"
    assert "3 decided calls were not made" in state.final.text


async def test_a_patch_over_the_limit_is_never_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.orchestrator.fake_gateway import ROOT_ID, FakeGateway

    gateway = FakeGateway()
    gateway.tools["fs__apply_patch"] = {"read_only": False, "meta": {"lg/root": {"id": ROOT_ID, "name": "repo"}}}
    use = ToolUse(tool="fs__apply_patch", input={"patch": "x" * 500})
    chosen = Route(intent="code_change", lane="deep", rationale="it asks for a change")
    backend = ScriptedBackend(chosen=chosen, planned=Plan(steps=(PlanStep(id="s", description="d", tools=(use,)),)))
    async with world(tmp_path_factory.mktemp("s"), backend, gateway=gateway, budgets={"max_patch_bytes": 100}) as run:
        with anyio.fail_after(60):
            state = await run.go("patch")
        assert all(params.name != "fs__apply_patch" for params in run.gateway.calls)
    [result] = state.tool_results
    assert result.artifacts.error is not None
    assert result.artifacts.error.code == "too_large"


async def test_a_run_out_of_wall_clock_makes_no_further_call(tmp_path_factory: pytest.TempPathFactory) -> None:
    uses = tuple(ToolUse(tool="exec__exec", input={"cmd": f"{n}"}) for n in range(3))
    backend = ScriptedBackend(planned=Plan(steps=(PlanStep(id="s", description="d", tools=uses),)))
    async with world(tmp_path_factory.mktemp("s"), backend, budgets={"max_wall_s": 100}) as run:
        made = 0

        async def age(name: str) -> None:
            nonlocal made
            made += name == "exec__exec"
            if made == 1:
                run.services.control.started -= 1000

        run.gateway.on_call = age
        with anyio.fail_after(60):
            why = await run.breaks_off("read")
    assert made == 1
    assert isinstance(why, OutOfBudget)
    assert why.limit == "max_wall_s"
