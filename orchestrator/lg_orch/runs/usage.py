"""Adds up what a run cost, from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.events import Usage
from lg_orch.llm.cost.spending import most_of
from lg_orch.llm.cost.token_bounds import open_requests
from lg_orch.runs.tree_digest import is_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event


def usage_of(events: Sequence[Event]) -> Usage:
    """Return the calls, requests, tokens and the time they took; what only the run's state knows is left at zero.

    Looks at the tree between two processes are no work of the run's and count in its time alone.
    """
    calls = requests = tokens = tool_ms = model_ms = 0
    cost = 0.0
    for event in events:
        if event.kind == "tool" and event.phase == "end":
            calls += not is_look(event)
            tool_ms += int(event.data["result"]["timing_ms"])
        elif event.kind == "model" and event.phase in ("end", "failed", "retry") and not event.data.get("from_cache"):
            requests += 1
            tokens += int(event.data.get("total_tokens") or 0)
            model_ms += int(event.data.get("latency_ms") or 0)
            cost += float(event.data.get("cost_usd") or 0)
    for event in open_requests(events):
        # Sent, and nobody knows what came of it.
        requests += 1
        tokens += most_of(event.data)
        cost += float(event.data.get("cost_usd_most") or 0)
    return Usage(
        tool_calls=calls, tokens=tokens, cost_usd=cost, requests=requests, tools_s=tool_ms / 1000,
        model_s=model_ms / 1000,
    )  # fmt: skip
