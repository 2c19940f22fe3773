"""`lg-orch runs show ID --html`: a run as one HTML file that needs nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lg_console.pages.run_export import exported_run
from lg_console.sources.runs import RunSummary, WholeRun
from lg_orch.recording.result_store import ResultStore
from lg_orch.runs.timeline import patches_of, standing
from lg_orch.undo.diffs import diff_of

if TYPE_CHECKING:
    from lg_orch.contracts.events import RunTrace
    from lg_orch.runs.run_directory import RunDir


def run_html(run: RunDir, trace: RunTrace) -> str:
    """Return the file."""
    results = ResultStore(run.results)
    patch = "".join(diff_of(patch, results) for patch in standing(patches_of(trace.events)))
    times = [datetime.fromisoformat(event.time).timestamp() for event in trace.events]
    summary = RunSummary(
        run_id=trace.run_id, state=str(trace.status), request=trace.request,
        repository=str(trace.root.get("name") or ""), created_by="", created=times[0] if times else 0.0,
        updated=times[-1] if times else 0.0, report=trace.final.text if trace.final is not None else "",
        tokens=trace.usage.tokens, cost_usd=trace.usage.cost_usd, wall_s=trace.usage.wall_s,
    )  # fmt: skip
    return exported_run(WholeRun(summary=summary, events=[event.model_dump() for event in trace.events], patch=patch))
