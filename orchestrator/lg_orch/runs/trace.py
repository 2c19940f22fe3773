"""Exports the trace of a run, also of a killed one, from the journal alone, to a file below the root.

The file goes through the confined-open primitive: a symlink on the way is refused. A root that cannot be written is a
warning, not a failure of the run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lg_orch.contracts.envelopes import ToolEnvelope
from lg_orch.contracts.errors import RunBusy
from lg_orch.contracts.events import Event, RunTrace, TracedCall, Usage
from lg_orch.contracts.plans import Plan
from lg_orch.contracts.reports import VerifierReport
from lg_orch.contracts.state import Final
from lg_orch.recording.journal import read_journal
from lg_orch.runs.run_directory import RunLock, owing_runs
from lg_orch.runs.usage import usage_of
from lg_policy.errors import LgError
from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.runs.run_directory import RunDir

IGNORE = ".gitignore"
"""Keeps traces out of git."""


def build_trace(run_id: str, events: Sequence[Event]) -> RunTrace:
    """Make the trace of whatever happened so far; a journal without an end gives status `killed`."""
    begin, end = _data(events, "run", "begin"), _end_of(events)
    final = Final.model_validate(end["final"]) if end.get("final") else None
    return RunTrace(
        run_id=run_id,
        request=str(begin.get("request", "")),
        profile=str(begin.get("profile", "")),
        versions=begin.get("versions", {}) | _data(events, "run", "connected").get("versions", {}),
        graph=str(_data(events, "graph", "note").get("mermaid", "")),
        root={name: (begin.get("root") or {}).get(name) for name in ("id", "name")}
        | {name: end.get(name) for name in ("revision", "tree")},
        events=tuple(events),
        tool_calls=tuple(_calls(events)),
        plans=tuple(
            Plan.model_validate(event.data["plan"])
            for event in events
            if event.name == "planner" and "plan" in event.data
        ),
        verification=_verification(events, end),
        patches=tuple(_patches(events)),
        usage=Usage.model_validate(end["usage"]) if end.get("usage") else usage_of(events),
        final=final,
        status=final.status if final is not None else "killed",
    )


def owe_trace(run: RunDir, *, root: Path, output_dir: str) -> None:
    """Note that a trace must be written, so that the next command does it if this process is killed."""
    make_private(run.pending_trace.parent)
    replace_file(run.pending_trace, json.dumps({"root": str(root), "output_dir": output_dir}).encode())


def export_trace(run: RunDir, *, root: Path, output_dir: str) -> str:
    """Write the trace below the root and return its path relative to it. Raises `LgError` when that is impossible."""
    from lg_policy.paths.root import Root, write_atomic

    trace = build_trace(run.run_id, read_journal(run.journal))
    folder = output_dir.strip("/")
    relative = f"{folder}/run-{run.run_id}.json"
    top = folder.partition("/")[0]
    # A folder that a project has already keeps what git sees of it; then only the traces are left out.
    ignored = folder if os.path.lexists(root / top) and not os.path.lexists(root / top / IGNORE) else top
    # The run itself already decided whether a broad root is acceptable.
    with Root(root, allow_broad=True) as confined:
        if top not in ("", ".") and not os.path.lexists(root / ignored / IGNORE):
            write_atomic(confined, f"{ignored}/{IGNORE}", b"*\n")
        write_atomic(confined, relative, trace.model_dump_json(indent=1).encode() + b"\n")
    run.pending_trace.unlink(missing_ok=True)
    return relative


def complete_owed(state: Path) -> list[str]:
    """Write the traces that killed runs still owe; returns a line to print for each."""
    lines: list[str] = []
    for run in owing_runs(state):
        try:
            lock = RunLock(run)
        except (RunBusy, FileNotFoundError):
            continue
        try:
            lines.append(_complete(run))
        finally:
            lock.release()
    return lines


def _complete(run: RunDir) -> str:
    try:
        owed = json.loads(run.pending_trace.read_bytes())
        path = export_trace(run, root=Path(owed["root"]), output_dir=str(owed["output_dir"]))
    except (LgError, OSError, ValueError, KeyError, ValidationError) as error:
        run.pending_trace.unlink(missing_ok=True)
        return f"the trace of run {run.run_id} could not be completed: {error}"
    return f"completed the trace of run {run.run_id}, which did not end by itself: {path}"


def finished(events: Sequence[Event]) -> bool:
    """Tell whether the graph came to its end: there is nothing left to resume. A run that broke off can be resumed."""
    return bool(_end_of(events).get("finished"))


def ended(events: Sequence[Event]) -> str:
    """Return the status of a run that ended and was not resumed since; "" for any other."""
    return str(_end_of(events).get("status", ""))


def _end_of(events: Sequence[Event]) -> dict[str, Any]:
    """What the run's last end says, unless the run was resumed since."""
    for event in reversed(events):
        if event.name == "run" and event.phase in ("end", "resume"):
            return event.data if event.phase == "end" else {}
    return {}


def _patches(events: Sequence[Event]) -> Iterable[dict[str, Any]]:
    """Each change set once: a call that was repeated after a crash says again what it did."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.kind == "tool" and event.data.get("patch") is not None:
            found.setdefault(event.data["patch"]["change_id"], event.data["patch"])
    return found.values()


def _verification(events: Sequence[Event], end: dict[str, Any]) -> VerifierReport | None:
    """The checks of the last plan: as the run's end tells them, else as far as they came before it broke off."""
    if end:
        return VerifierReport.model_validate(end["verification"]) if end.get("verification") else None
    checks: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.name == "planner" and "plan" in event.data:
            checks = {}
        elif event.kind == "verify" and event.phase == "end":
            checks[event.name] = event.data
    report = {"ok": all(check["ok"] for check in checks.values()), "checks": list(checks.values())}
    return VerifierReport.model_validate(report) if checks else None


def _data(events: Sequence[Event], name: str, phase: str) -> dict[str, Any]:
    return next((event.data for event in reversed(events) if event.name == name and event.phase == phase), {})


def _calls(events: Sequence[Event]) -> list[TracedCall]:
    ended = {
        event.data["call_id"]: ToolEnvelope.model_validate(event.data["result"])
        for event in events
        if event.kind == "tool" and event.phase == "end"
    }
    # A call that waited for a human begins again, under the same key, when its run is resumed.
    first = {event.data["idempotency_key"]: event for event in reversed(events) if _begins_call(event)}
    return [
        TracedCall(
            call_id=event.data["call_id"],
            step=event.data["step"],
            idempotency_key=event.data["idempotency_key"],
            started=event.time,
            result=ended.get(event.data["call_id"]),
        )
        for event in sorted(first.values(), key=lambda event: event.seq)
    ]


def _begins_call(event: Event) -> bool:
    return event.kind == "tool" and event.phase == "begin"
