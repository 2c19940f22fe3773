"""Read this first: every node and every edge of a run.

`ingest → policy_gate → context_builder → router → planner → executor`; before a repair the planner goes to the verifier
first, which runs the checks as they stand. Before other changes they run beside the first requests, and the executor
goes to the verifier before the first call that may change something; so it does with the checks of packages that the
first change touches and nobody foresaw. The executor visits itself once per call, then continues to the verifier, or
back to the planner when the loop's calls are used up or the plan does not fit; the verifier visits itself once per
check, then ends in the reporter, or goes back to the planner when a change did not pass. A refusal goes straight to
the reporter. Which way is decided from the state alone, below.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from lg_orch.agent.budgets import executor_room
from lg_orch.agent.channels import GraphState
from lg_orch.agent.nodes.context_builder import context_builder
from lg_orch.agent.nodes.executor import executor
from lg_orch.agent.nodes.ingest import ingest
from lg_orch.agent.nodes.planner import planner
from lg_orch.agent.nodes.policy_gate import policy_gate
from lg_orch.agent.nodes.reporter import reporter
from lg_orch.agent.nodes.router import router
from lg_orch.agent.nodes.verifier import verifier
from lg_orch.agent.services import Services
from lg_orch.contracts.plans import CHANGES
from lg_orch.contracts.state import RunState, Update, checked_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph


class Node(Protocol):
    """What a node is: state and services in, changed fields out."""

    async def __call__(self, state: RunState, services: Services) -> Update:
        """Do this node's part."""
        ...


NODES: tuple[tuple[str, Node], ...] = (
    ("ingest", ingest),
    ("policy_gate", policy_gate),
    ("context_builder", context_builder),
    ("router", router),
    ("planner", planner),
    ("executor", executor),
    ("verifier", verifier),
    ("reporter", reporter),
)


def build_graph(
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CompiledStateGraph[GraphState, Services, GraphState, GraphState]:
    """Compile the graph; it holds nothing of a run, services come with each invocation."""
    graph = StateGraph(GraphState, context_schema=Services)
    for name, function in NODES:
        graph.add_node(name, _visit(name, function))
    graph.add_edge(START, "ingest")
    graph.add_conditional_edges("ingest", _unless_refused("policy_gate"), ["policy_gate", "reporter"])
    graph.add_conditional_edges("policy_gate", _unless_refused("context_builder"), ["context_builder", "reporter"])
    graph.add_edge("context_builder", "router")
    graph.add_conditional_edges("router", _unless_refused("planner"), ["planner", "reporter"])
    graph.add_conditional_edges("planner", _edge(after_planner), ["executor", "verifier", "reporter"])
    graph.add_conditional_edges("executor", _edge(after_executor), ["executor", "verifier", "planner"])
    graph.add_conditional_edges("verifier", _edge(after_verifier), ["verifier", "executor", "planner", "reporter"])
    graph.add_edge("reporter", END)
    return graph.compile(checkpointer=checkpointer, name="lg-orch")


def after_planner(state: RunState) -> str:
    """Choose what follows a plan: the baseline of a repair, else the work, beside which a baseline may run."""
    if state.guards.refused is not None:
        return "reporter"
    return "verifier" if state.baseline_checks and state.baseline_now else "executor"


def after_executor(state: RunState) -> str:
    """Choose what follows: another call, the checks, the baseline, another plan, or a new loop."""
    if state.baseline_checks and state.baseline_now:
        return "verifier"
    if state.replan:
        return "planner"
    if state.unasked:
        return "executor"
    if not state.queue:
        return "verifier"
    return "executor" if executor_room(state.budgets, len(state.checks)) > 0 else "planner"


def after_verifier(state: RunState) -> str:
    """Choose what follows a check: another one, the work after the baseline, the report, or a repair."""
    if state.baseline_checks:
        return "verifier"
    if state.repeats:
        return "verifier"
    if state.checks:
        # Checks are still to come and none was judged: that was the last one of the baseline.
        return "verifier" if state.verification is not None else "executor"
    failed = state.verification is not None and not state.verification.ok
    unwanted = state.review is not None and not state.review.ok and not state.reflections
    repairable = state.intent is not None and state.intent.intent in CHANGES and state.guards.stopped is None
    return "planner" if (failed or unwanted) and repairable else "reporter"


def mermaid() -> str:
    """Return the compiled graph as Mermaid text."""
    return build_graph().get_graph().draw_mermaid()


def _unless_refused(following: str) -> Any:
    return _edge(lambda state: "reporter" if state.guards.refused is not None else following)


def _edge(decide: Callable[[RunState], str]) -> Any:
    """An edge as LangGraph wants it: what it is given follows from the annotation."""

    def route(state: GraphState) -> str:
        return decide(state)

    return route


def _visit(name: str, function: Node) -> Any:
    """Wrap a node: journal its begin and end, check what it returns."""

    async def visit(state: GraphState, runtime: Runtime[Services]) -> Update:
        services = runtime.context
        services.control.check_stop()
        begun = time.monotonic()
        number = state.telemetry.visits + 1
        services.bus.emit("node", name, "begin", {"visit": number})
        update = await function(state, services)
        if services.spending is not None and services.spending.tokens != state.budgets.tokens:
            spent = update.get("budgets", state.budgets)
            update["budgets"] = spent.model_copy(
                update={"tokens": services.spending.tokens, "cost_usd": services.spending.usd}
            )
        plain = checked_update(name, update)
        plain["telemetry"] = {"visits": number}
        elapsed = round((time.monotonic() - begun) * 1000)
        services.bus.emit("node", name, "end", {"visit": number, "duration_ms": elapsed, "changed": sorted(update)})
        return plain

    return visit
