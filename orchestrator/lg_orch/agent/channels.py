"""Keeps the graph's state between steps. Of the results a checkpoint stores only what each step added.

Results are the one part that grows with a run, and a checkpoint is written at each step. This module is separate from
`state`, so that commands which only read a journal do not import LangGraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from langgraph.channels.delta import DeltaChannel
from pydantic import Field

from lg_orch.contracts.state import References, RunState

SNAPSHOT_EVERY = 100
"""Visits with results until a checkpoint holds all of them again; a resume reads at most so many."""


def appended(known: Sequence[Any], added: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the list with what the visits added, in their order."""
    return [*known, *(entry for part in added for entry in part)]


class GraphState(RunState):
    """What LangGraph reads its channels from; to nodes and edges it is a `RunState`."""

    tool_results: Annotated[References, DeltaChannel(appended, snapshot_frequency=SNAPSHOT_EVERY)] = Field(
        default_factory=list
    )
