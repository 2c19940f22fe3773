"""Reports runs that broke off, because no model answered or a limit was reached, and says how to continue them.

Such a run ends with status `failed` and stands where it stood before the step that failed; its journal says so, and a
`resume` begins that step again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import OutOfBudget
from lg_orch.contracts.state import EXIT_STATUS, Final
from lg_orch.contracts.text import code_span, one_line, sentence, stopped_text
from lg_orch.runs.timeline import patches_of, standing
from lg_policy.errors import ConfigError, Conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.contracts.state import RunState, Status
    from lg_policy.config.settings import BudgetSettings
    from lg_policy.errors import LgError

FLAGS = {"max_tokens": "--max-tokens", "max_cost_usd": "--max-cost-usd", "max_wall_s": "--max-wall-s"}
"""Of `lg-orch run` and `resume`, by key of `[budgets]`."""
MAX_CHARS = 4_000
"""Characters of an error in a report; what a model's server said may be in it."""
SHOWN = 20
"""Changed files that a report names."""


def reached(error: BaseException, limits: BudgetSettings) -> dict[str, Any]:
    """Return what the journal keeps of a limit that ended a run."""
    if not isinstance(error, OutOfBudget):
        return {}
    return {"limit": {"key": error.limit, "value": getattr(limits, error.limit)}}


def report(run_id: str, error: LgError, state: RunState, events: Sequence[Event], limits: BudgetSettings) -> Final:
    """Return the report of a run that broke off: why, what it did so far, how to continue it."""
    if isinstance(error, ConfigError):
        return ended("refused", error.text(), run_id, events)
    said = stopped_text(one_line(error.message, MAX_CHARS))
    parts = [f"**Failed:** {said}" + (f"\n\n{sentence(one_line(error.hint, MAX_CHARS))}" if error.hint else "")]
    changed = changed_so_far(run_id, events)
    if changed:
        parts.append(changed)
    if changed and (state.verification is None or not state.verification.ok):
        parts.append("No check has passed since.")
    parts.append(f"Nothing is lost: {how_to_go_on(run_id, reached(error, limits))}")
    return Final(status="failed", exit_status=1, text="\n\n".join(parts))


def how_to_go_on(run_id: str, kept: dict[str, Any]) -> str:
    """Return the command that resumes a run, in a sentence; `kept` is what `reached` returned."""
    limit = kept.get("limit")
    if not limit:
        return f"`lg-orch resume {run_id}` continues from there."
    key, value = str(limit["key"]), limit["value"]
    return (
        f"`lg-orch resume {run_id} {FLAGS[key]} {2 * value:g}` continues from there. "
        f"You can also raise `budgets.{key}` and resume."
    )


def refuse_unraised(run_id: str, events: Sequence[Event], limits: BudgetSettings) -> None:
    """Raise `Conflict` if the run reached a limit that is not higher now."""
    last = next((event for event in reversed(events) if event.name == "run" and event.phase in ("end", "resume")), None)
    kept = last.data if last is not None and last.phase == "end" else {}
    limit = kept.get("limit")
    if limit and getattr(limits, limit["key"]) <= limit["value"]:
        used = f"run {run_id} reached budgets.{limit['key']} = {limit['value']:g}, and the limit is not higher now"
        raise Conflict(f"{used}; nothing was done", hint=how_to_go_on(run_id, kept).rstrip("."))


def changed_so_far(run_id: str, events: Sequence[Event]) -> str:
    """Return what a run changed and how to revert it, for a run with any outcome; empty if it changed nothing."""
    patched = {str(file.get("to") or file["path"]) for patch in standing(patches_of(events)) for file in patch.files}
    written = {
        str(path)
        for event in events
        if event.kind == "tool" and event.phase == "end"
        for path in event.data.get("changed_paths") or ()
    }
    parts = []
    if patched:
        parts.append(f"Changed so far: {_names(patched)}. Revert with `lg-orch undo {run_id}`.")
    if written:
        parts.append(f"Commands wrote {_names(written)}; `undo` does not cover that.")
    return " ".join(parts)


def _names(paths: set[str]) -> str:
    shown = sorted(paths)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(code_span(path) for path in shown[:SHOWN]) + more


def ended(status: Status, text: str, run_id: str = "", events: Sequence[Event] = ()) -> Final:
    """Return the report of a run that wrote none: why it ended, and what it changed until then."""
    changed = changed_so_far(run_id, events)
    parts = [sentence(text), changed or "It changed no files."]
    return Final(status=status, exit_status=EXIT_STATUS[status], text="\n\n".join(parts))
