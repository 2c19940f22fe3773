"""Tells whether the files are still as a run left them, by the tree's digest.

The digest is taken where a process stops, and where the next one continues.
It covers what the tools see (`lg_fs.tree.tree_digest`). Where there is none, after a process that was killed or for a
tree that is too large, nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.tree_check import STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event


def is_look(event: Event) -> bool:
    """Tell whether an event of a call is about such a look, which belongs to no step of the run."""
    return event.data.get("step") == STEP or str(event.data.get("call_id", "")).startswith(f"{STEP}.")


def left_at(events: Sequence[Event]) -> str | None:
    """Return the digest of the tree as the last process of a run left it, if it came to take it."""
    for event in reversed(events):
        if event.name == "run" and event.phase in ("begin", "resume"):
            return None
        if event.name == "run" and event.phase == "end":
            left = event.data.get("left")
            return str(left) if left is not None else None
    return None
