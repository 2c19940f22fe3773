"""Plans an undo: which change sets to revert, what stands in the way, what is not covered. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.text import many
from lg_orch.human.inquiry import open_questions
from lg_orch.runs.timeline import Patch, patches_of, standing
from lg_policy.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lg_orch.contracts.events import Event

UNKNOWN = ""
"""Stands for a content that could not be read; the server itself compares before it writes."""
SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """The change sets to revert, the newest first, and in words what is not reverted."""

    patches: tuple[Patch, ...]
    uncovered: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is touched, sorted."""
        return tuple(sorted({name for patch in self.patches for file in patch.files for name in _names(file)}))


def plan_undo(events: Sequence[Event], *, after: int = 0) -> Undoing:
    """Plan to revert what the steps after number `after` changed and what was not reverted yet."""
    chosen = [patch for patch in standing(patches_of(events)) if patch.step > after]
    return Undoing(patches=tuple(reversed(chosen)), uncovered=tuple(_uncovered(events, after)))


def require_seen(planned: Sequence[str], seen: Collection[str]) -> None:
    """Raise `Conflict` for change sets that a human has not seen in a preview."""
    unseen = set(planned) - set(seen)
    if unseen:
        raise Conflict(
            f"since the preview the run made {many(len(unseen), 'change set')} more; nothing was undone",
            hint="look at the preview again",
        )


def without_reverted(undoing: Undoing, reverted: Mapping[str, str | None]) -> Undoing:
    """Leave out what was already reverted, for example by an interrupted undo.

    `reverted`: for each change set that the file server still keeps, which other one reverted it.
    """
    return replace(undoing, patches=tuple(patch for patch in undoing.patches if reverted.get(patch.change_id) is None))


def conflicts(undoing: Undoing, now: Mapping[str, str | None], kept: Collection[str]) -> list[str]:
    """Return what stands in the way, each a sentence that says where.

    `now`: SHA-256 of every touched file, `None` for one that is not there; `kept`: the change sets that the file server
    still has.
    """
    found: list[str] = []
    at = dict(now)
    for patch in undoing.patches:
        if patch.change_id not in kept:
            found.append(f"change set {patch.change_id} of step {patch.step} is no longer kept by the file server")
        for file in patch.files:
            found += _step_back(file, at, patch.step)
    return list(dict.fromkeys(found))


def _step_back(file: Mapping[str, Any], at: dict[str, str | None], step: int) -> Iterator[str]:
    """Take one file back in `at`; yields where it is not as the change left it."""
    path, target = str(file["path"]), str(file["to"] or file["path"])
    expected = None if file["op"] == "delete" else file["after_sha256"]
    if UNKNOWN not in (expected, at.get(target)) and at.get(target) != expected:
        gone = "is not there any more" if at.get(target) is None else "was changed"
        yield f"{target} {gone} after step {step}"
    if file["op"] == "move" and at.get(path) is not None:
        yield f"{path} exists again since it was moved in step {step}"
    at[target] = None
    at[path] = None if file["op"] == "add" else file["before_sha256"]


def _uncovered(events: Sequence[Event], after: int) -> Iterator[str]:
    others: dict[str, int] = {}
    begun: dict[str, tuple[int, str]] = {}
    written: set[str] = set()
    number = 0
    for event in events:
        if event.kind == "node" and event.phase == "begin" and "visit" in event.data:
            number = int(event.data["visit"])
        if event.kind != "tool" or number <= after:
            continue
        call_id, effect = str(event.data.get("call_id", "")), event.data.get("effect")
        if event.phase == "begin" and effect == "patch":
            begun[call_id] = number, event.name
        elif event.phase == "begin" and effect == "other":
            others[event.name] = others.get(event.name, 0) + 1
        elif event.phase == "end":
            begun.pop(call_id, None)
            written |= set(event.data.get("changed_paths", ()))
    if written:
        yield f"files that commands wrote: {', '.join(sorted(written)[:SHOWN])}{' …' if len(written) > SHOWN else ''}"
    for tool, times in sorted(others.items()):
        yield f"whatever {times} {'call' if times == 1 else 'calls'} of {tool} did"
    # A call that nobody has said yes to yet was not sent.
    asked = {question.call_id for question in open_questions(events) if question.kind in ("approval", "elsewhere")}
    yield from (
        f"call {call_id} of {tool} in step {step}: the run stopped during it, and its journal does not say whether "
        "it happened; resume the run to find out"
        for call_id, (step, tool) in begun.items()
        if call_id not in asked
    )


def _names(file: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in (file["path"], file["to"]) if name)
