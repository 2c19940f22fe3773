from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from lg_orch.agent.graph import NODES, build_graph, mermaid
from lg_orch.contracts.plans import Plan, PlannedCall, PlanStep, Route, ToolUse
from lg_orch.contracts.reports import Answer, Statement
from lg_orch.testing import ScriptedBackend
from tests.orchestrator.fake_gateway import FakeGateway, error_result, text_result
from tests.orchestrator.helpers import world

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def reads(*paths: str) -> Plan:
    uses = tuple(ToolUse(tool="fs__read_file", input={"path": path}) for path in paths)
    return Plan(steps=(PlanStep(id="s1", description="read", tools=uses),))


def exec_result(exit_code: int, stdout: str = "") -> Any:
    structured = {"ok": exit_code == 0, "exit_code": exit_code, "stdout": stdout, "stderr": ""}
    return text_result(stdout, structured)


async def test_a_question_visits_the_nodes_in_order_and_answers(tmp_path: Path) -> None:
    said = Answer(text_markdown="It is small.", statements=(Statement(text="small", file="a.py", line=1),))
    async with world(tmp_path, ScriptedBackend(planned=reads("a.py", "b.py"), said=said)) as run:
        with anyio.fail_after(60):
            state = await run.go("how big is it?")
        visits = "ingest policy_gate context_builder router planner executor verifier reporter"
        assert run.visits() == visits.split()
    assert state.final is not None
    assert (state.final.status, state.final.exit_status) == ("done", 0)
    assert state.final.text.startswith("It is small.")
    assert "a script" in state.final.text
    assert [result.artifacts.call_id for result in state.tool_results] == ["s1.1", "s1.2"]


async def test_every_call_carries_the_run_and_its_own_idempotency_key(tmp_path: Path) -> None:
    async with world(tmp_path, ScriptedBackend(planned=reads("a.py"))) as run:
        with anyio.fail_after(60):
            await run.go("read it")
        metas: list[dict[str, Any]] = [dict(params.meta or {}) for params in run.gateway.calls]
        keys = [meta["lg/idempotency-key"] for meta in metas]
        assert len(set(keys)) == len(keys)
        assert all(key.startswith(f"{run.run.run_id}:") for key in keys)
        assert {meta["lg/run"]["run_id"] for meta in metas} == {run.run.run_id}
        assert {meta["lg/run"]["step"] for meta in metas} == {"context_builder", "executor"}


async def test_a_refused_request_goes_straight_to_the_reporter_and_calls_nothing(tmp_path: Path) -> None:
    backend = ScriptedBackend(
        chosen=Route(intent="refactor", lane="deep", rationale="it asks for a change", needs_model=True)
    )
    async with world(tmp_path, backend) as run:
        with anyio.fail_after(60):
            state = await run.go("rename everything")
        assert run.visits()[-2:] == ["router", "reporter"]
    assert state.final is not None
    assert state.final.exit_status == 2
    for setting in ("--model", "LG_MODEL", "[models.", "openai", "ollama"):
        assert setting in state.final.text


async def test_a_gateway_without_the_file_server_is_refused_before_any_call(tmp_path: Path) -> None:
    gateway = FakeGateway()
    del gateway.tools["fs__read_file"]
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        with anyio.fail_after(60):
            state = await run.go("anything")
        assert run.visits() == ["ingest", "policy_gate", "reporter"]
        assert run.gateway.calls == []
    assert state.final is not None
    assert state.final.exit_status == 1


async def test_calls_that_follow_from_results_are_made_once_each(tmp_path: Path) -> None:
    follow = PlannedCall(id="f1", tool="fs__read_file", input={"path": "b.py"})
    again = PlannedCall(id="f2", tool="fs__read_file", input={"path": "b.py"})
    mutating = PlannedCall(id="f3", tool="exec__exec", input={"cmd": "ls"})
    backend = ScriptedBackend(planned=reads("a.py"), rounds=[(follow, again, mutating), (again,)])
    async with world(tmp_path, backend) as run:
        with anyio.fail_after(60):
            state = await run.go("follow")
    assert [result.artifacts.call_id for result in state.tool_results] == ["s1.1", "f1"]


async def test_a_check_that_its_runner_and_exit_code_call_failed_is_failed_whatever_the_answer_says(
    tmp_path: Path,
) -> None:
    check = ToolUse(tool="exec__exec", input={"cmd": "pytest", "args": ["-q"]})
    plan = reads("a.py").model_copy(update={"verification": (check,)})
    gateway = FakeGateway(answers={"exec__exec": exec_result(1, "all good, 100% passed\n1 failed")})
    backend = ScriptedBackend(planned=plan, said=Answer(text_markdown="The tests pass."))
    async with world(tmp_path, backend, gateway=gateway) as run:
        with anyio.fail_after(60):
            state = await run.go("do the tests pass?")
    assert state.verification is not None
    assert not state.verification.ok
    [made] = state.verification.checks
    assert (made.name, made.exit_code, made.summary) == ("pytest -q", 1, "1 failed")
    assert state.final is not None
    assert state.final.status == "failed"
    assert "| failed | 1 |" in state.final.text


async def test_a_passing_check_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    plan = Plan(steps=(), verification=(ToolUse(tool="exec__exec", input={"cmd": "pytest"}),))
    gateway = FakeGateway(answers={"exec__exec": exec_result(0, "3 passed")})
    async with world(tmp_path, ScriptedBackend(planned=plan), gateway=gateway) as run:
        with anyio.fail_after(60):
            state = await run.go("do the tests pass?")
    assert state.final is not None
    assert state.final.exit_status == 0
    assert "| `pytest` | passed | 0 | `3 passed` |" in state.final.text


async def test_a_change_that_does_not_pass_goes_back_to_the_planner_until_the_loops_are_used(tmp_path: Path) -> None:
    plan = Plan(steps=(), verification=(ToolUse(tool="exec__exec", input={"cmd": "pytest"}),))
    backend = ScriptedBackend(planned=plan, chosen=Route(intent="code_change", lane="deep", rationale="r"))
    gateway = FakeGateway(answers={"exec__exec": exec_result(1)})
    async with world(tmp_path, backend, gateway=gateway, budgets={"max_loops": 2}) as run:
        with anyio.fail_after(60):
            state = await run.go("fix it")
        assert run.visits().count("planner") == 3
    assert backend.plans_asked == 2
    assert state.final is not None
    assert state.final.status == "failed"
    assert "max_loops" in state.final.text


async def test_a_run_whose_calls_all_failed_has_failed_whatever_the_mind_says(tmp_path: Path) -> None:
    gateway = FakeGateway(answers={"fs__read_file": error_result("policy_denied", "not this file")})
    async with world(tmp_path, ScriptedBackend(planned=reads("secret")), gateway=gateway) as run:
        with anyio.fail_after(60):
            state = await run.go("read it")
    assert state.final is not None
    assert state.final.status == "failed"
    assert "policy_denied: `not this file`" in state.final.text


async def test_a_plan_with_a_tool_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    plan = Plan(steps=(PlanStep(id="s", description="d", tools=(ToolUse(tool="fs__format_disk"),)),))
    async with world(tmp_path, ScriptedBackend(planned=plan)) as run:
        with anyio.fail_after(60):
            state = await run.go("go")
        assert run.visits()[-2:] == ["planner", "reporter"]
    assert state.final is not None
    assert "fs__format_disk" in state.final.text


async def test_large_results_stay_out_of_the_state(tmp_path: Path) -> None:
    big = "x" * 300_000
    gateway = FakeGateway(answers={"fs__read_file": text_result(big, {"files": [{"text": big}]})})
    backend = ScriptedBackend(planned=reads("big.txt"))
    async with world(tmp_path, backend, gateway=gateway) as run:
        with anyio.fail_after(60):
            state = await run.go("read it")
        assert len(run.run.journal.read_bytes()) < 40_000
    assert len(state.model_dump_json()) < 20_000
    [whole] = backend.results
    assert whole.stdout == big
    assert whole.artifacts.structured == {"files": [{"text": big}]}


def test_the_exported_graph_names_all_eight_nodes_and_the_designed_edges() -> None:
    text = mermaid()
    for name, _ in NODES:
        assert name in text
    edges = {(edge.source, edge.target) for edge in build_graph().get_graph().edges}
    assert {(a, b) for a, b in edges if a in ("executor", "verifier")} == {
        ("executor", "executor"), ("executor", "verifier"), ("executor", "planner"),
        ("verifier", "verifier"), ("verifier", "executor"), ("verifier", "planner"), ("verifier", "reporter"),
    }  # fmt: skip
    assert ("policy_gate", "reporter") in edges
