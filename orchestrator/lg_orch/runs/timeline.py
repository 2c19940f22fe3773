"""Reads a run's steps from its journal: what each visit of a node called and changed. Steps count from 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.envelopes import ToolEnvelope
from lg_orch.runs.tree_digest import is_look

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.contracts.events import Event

UNDO_CALLS = "undo."
"""How the ids of calls begin that take a run's changes back."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """One change set of the run."""

    step: int
    change_id: str
    reverts: str | None
    """The change set that this one reverted."""
    call_id: str
    files: tuple[dict[str, Any], ...]
    added: int
    removed: int
    result: ToolEnvelope
    """The call's brief; the whole, with the diff, is in the result store."""


@dataclass(kw_only=True)
class RunStep:
    """One visit of a node; `done` tells whether it came to its end."""

    number: int
    node: str
    done: bool = False
    results: list[ToolEnvelope] = field(default_factory=list)
    open_calls: dict[str, str] = field(default_factory=dict)
    """Calls that were started and have no outcome here: id and tool."""


def steps_of(events: Iterable[Event]) -> list[RunStep]:
    """Return the steps in order. A step that was started again after an interruption is one step."""
    steps: dict[int, RunStep] = {}
    step: RunStep | None = None
    for event in events:
        if event.kind == "node" and event.phase == "begin" and "visit" in event.data:
            number = int(event.data["visit"])
            step = steps[number] = RunStep(number=number, node=event.name)
        elif step is None:
            continue
        elif event.kind == "node" and event.phase == "end" and event.name == step.node:
            step.done = True
        elif event.kind == "tool" and not _of_undo(event) and not is_look(event):
            _call(step, event)
            if event.phase == "end":
                # One step may begin a call, and a later one take its result.
                for earlier in steps.values():
                    earlier.open_calls.pop(str(event.data.get("call_id", "")), None)
    return [steps[number] for number in sorted(steps)]


def undo_of(events: Iterable[Event]) -> RunStep | None:
    """Return the calls that took changes of the run back, as one step after all others; `None` where nobody tried."""
    undo = RunStep(number=0, node="undo", done=True)
    for event in events:
        if event.kind == "tool" and _of_undo(event):
            _call(undo, event)
    return undo if undo.results or undo.open_calls else None


def _of_undo(event: Event) -> bool:
    return str(event.data.get("call_id", "")).startswith(UNDO_CALLS)


def patches_of(events: Sequence[Event]) -> list[Patch]:
    """Return every change set that the run or its undoing made, oldest first, each once."""
    found: dict[str, Patch] = {}
    number = 0
    for event in events:
        if event.kind == "node" and event.phase == "begin" and "visit" in event.data:
            number = int(event.data["visit"])
        patch = event.data.get("patch") if event.kind == "tool" and event.phase == "end" else None
        if patch is not None:
            found.setdefault(patch["change_id"], Patch(
                step=number, change_id=patch["change_id"], reverts=patch["reverts"], call_id=patch["call_id"],
                files=tuple(patch["files"]), added=patch["added"], removed=patch["removed"],
                result=ToolEnvelope.model_validate(event.data["result"]),
            ))  # fmt: skip
    return list(found.values())


def standing(patches: Iterable[Patch]) -> list[Patch]:
    """Return the change sets that still count: neither reverted by a later one, nor reverts themselves."""
    kept: list[Patch] = []
    for patch in patches:
        ids = [patch.change_id for patch in kept]
        if patch.reverts in ids:
            del kept[ids.index(patch.reverts)]
        else:
            kept.append(patch)
    return kept


def _call(step: RunStep, event: Event) -> None:
    call_id = str(event.data.get("call_id", ""))
    if event.phase == "begin":
        step.open_calls[call_id] = event.name
    elif event.phase == "end":
        step.open_calls.pop(call_id, None)
        step.results.append(ToolEnvelope.model_validate(event.data["result"]))
