"""Copies the state after a step of one run into a new run, with a new id and new keys."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

from lg_orch.llm.cost.spending import traffic_so_far
from lg_orch.runs.timeline import steps_of
from lg_policy.errors import NotFound, UnknownName, UsageError
from lg_policy.state import make_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from lg_orch.contracts.events import Event
    from lg_orch.runs.run_directory import RunDir


async def fork(source: RunDir, events: Sequence[Event], target: RunDir, step: int, store_url: str) -> dict[str, Any]:
    """Give `target` the state of `source` after `step`; returns what the new run's record says of its origin.

    Raises `ConfigError` for a step that there is not, or after which nothing follows.
    """
    from lg_orch.agent.graph import build_graph
    from lg_orch.runs.checkpoint import open_saver

    node = _node(events, step)
    async with open_saver(store_url, source.checkpoints) as saver:
        values, following = await _state_after(build_graph(saver), source.run_id, step)
    if not following:
        raise UsageError(f"step {step} is the run's last; nothing follows it", hint="fork at an earlier step")
    fresh = {name: _minted(value, target) for name, value in values.items()}
    _link_results(source, target)
    async with open_saver(store_url, target.checkpoints) as saver:
        await build_graph(saver).aupdate_state(_config(target.run_id), fresh, as_node=node)
    spent = values.get("budgets") or {}
    return {
        "run_id": source.run_id,
        "step": step,
        "tokens": spent.get("tokens", 0),
        "cost_usd": spent.get("cost_usd", 0),
        "unpriced": sorted(traffic_so_far(events).unpriced),
    }


def _node(events: Sequence[Event], number: int) -> str:
    """The node whose visit that step was."""
    done = {step.number: step.node for step in steps_of(events) if step.done}
    if number not in done:
        last = max(done, default=0)
        raise UnknownName(
            f"the run has no step {number} that came to its end" + (f"; the last is {last}" if last else ""),
            hint="`lg-orch runs show RUN_ID` lists its steps",
        )
    return done[number]


async def _state_after(
    graph: CompiledStateGraph[Any, Any, Any, Any], run_id: str, step: int
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    async for snapshot in graph.aget_state_history(_config(run_id)):
        if (snapshot.values.get("telemetry") or {}).get("visits") == step:
            return snapshot.values, snapshot.next
    raise NotFound(f"the checkpoint after step {step} of run {run_id} is not kept")


def _minted(value: Any, target: RunDir) -> Any:
    """Decided calls under keys of the new run, everything else as it is.

    What the old run did under a key is not an answer to the new one's call.
    """
    if not isinstance(value, list) or not all(
        isinstance(entry, dict) and {"call", "key"} <= entry.keys() for entry in value
    ):
        return value
    return [{**queued, "key": f"{target.run_id}:{secrets.token_hex(8)}"} for queued in value]


def _link_results(source: RunDir, target: RunDir) -> None:
    """Let the new run have the results that its state names; they never change, so one copy serves both."""
    make_private(target.results)
    for name in os.listdir(source.results) if source.results.is_dir() else ():
        os.link(source.results / name, target.results / name)


def _config(run_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": run_id}}
