"""The runs of the service, for the console."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_console.sources.runs import (
    STATES,
    RunArtifact,
    RunPage,
    RunQuestion,
    RunSummary,
    UndoShown,
    WholeRun,
)
from lg_orch.runs.timeline import patches_of, standing, steps_of
from lg_orch.service.api.acting import undo_preview
from lg_orch.service.api.reading import artifacts_of, cursor_of, position_of
from lg_orch.service.api.service import question_view, questions_of
from lg_orch.service.records.rows import Filter
from lg_orch.service.run_patch import whole_diff
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_console.sources.runs import RunsWanted
    from lg_orch.contracts.events import Event
    from lg_orch.service.api.service import RunService
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.records.run_events import Follower

PAGE = 50
FOLLOWED = 50
"""Runs whose events are read on from where they were read to."""
MARKED = 50
"""Newest runs of which a change is noticed."""


class ServiceRuns:
    """Reads the runs of one service."""

    def __init__(self, service: RunService) -> None:
        self._service = service
        self._seen: dict[str, tuple[Follower, int]] = {}
        """How far the events of runs that pages follow were read."""

    async def page(self, wanted: RunsWanted) -> RunPage:
        """Return one page of runs, newest first."""
        state = next((known for known in STATES if known == wanted.state), None)
        if wanted.state and state is None:
            raise InvalidArguments(f"a run's state is one of {', '.join(STATES)}")
        chosen = Filter(
            state=state,  # type: ignore[arg-type]  # the same words
            repository=wanted.repository or None,
            text=wanted.text or None,
            before=position_of(wanted.after) if wanted.after else None,
        )
        rows = await anyio.to_thread.run_sync(self._service.runs.page, chosen, PAGE + 1)
        older = cursor_of(rows[PAGE - 1]) if len(rows) > PAGE else ""
        return RunPage(runs=tuple(map(_summary, rows[:PAGE])), older=older)

    async def run(self, run_id: str) -> WholeRun:
        """Return one run."""
        return await anyio.to_thread.run_sync(self._whole, run_id)

    async def undo(self, run_id: str) -> UndoShown:
        """Return what an undo would do."""
        shown = await anyio.to_thread.run_sync(undo_preview, self._service, run_id, 0)
        return UndoShown(diff=shown.diff, uncovered=tuple(shown.uncovered), change_sets=shown.change_sets)

    async def mark(self) -> str:
        """Return a digest of how the newest runs stand."""
        rows = await anyio.to_thread.run_sync(self._service.runs.page, Filter(), MARKED)
        return _digest([[row.run_id, row.state, row.stop] for row in rows])

    async def run_mark(self, run_id: str) -> str:
        """Return a digest of how one run stands and of what happened in it."""

        return await anyio.to_thread.run_sync(self._run_mark, run_id)

    def _run_mark(self, run_id: str) -> str:
        row = self._service.runs.get(run_id)
        known = self._seen.pop(run_id) if run_id in self._seen else None
        follower, last = known or (self._service.events.follow(row, 0), 0)
        while events := follower.read():
            last = events[-1].seq
        self._seen[run_id] = (follower, last)
        if len(self._seen) > FOLLOWED:
            del self._seen[next(iter(self._seen))]
        return _digest([row.state, row.stop, row.undo, row.epoch, last])

    def _whole(self, run_id: str) -> WholeRun:
        service = self._service
        row = service.runs.get(run_id)
        events = service.events.all(row)
        asked = questions_of(service, row, events) if row.state in ("waiting", "queued", "running") else []
        views = [question_view(question, events) for question in asked]
        return WholeRun(
            summary=_summary(row),
            events=[event.model_dump() for event in events],
            questions=tuple(
                RunQuestion(
                    key=view.key, kind=view.kind, tool=view.tool, message=view.message, decisions=view.decisions
                )
                for view in views
            ),
            artifacts=tuple(RunArtifact(name=found.name, what=found.what) for found in artifacts_of(service, run_id)),
            patch=self._patch(row, events),
            steps=tuple(step.number for step in steps_of(events) if step.done),
        )

    def _patch(self, row: RunRow, events: list[Event]) -> str:
        patches = standing(patches_of(events))
        read = self._service.events.file_or_none
        return whole_diff(patches, lambda digest: read(row, f"results/{digest}.json")) if patches else ""


def _summary(row: RunRow) -> RunSummary:
    report: Mapping[str, Any] = row.report or {}
    usage: Mapping[str, Any] = report.get("usage") or {}
    undo: Mapping[str, Any] = row.undo or {}
    words = [str(undo.get(name)) for name in ("state", "text", "error") if undo.get(name)]
    return RunSummary(
        run_id=row.run_id, state=row.state, request=row.request, repository=row.repository,
        created_by=row.created_by, created=row.created, updated=row.updated, epoch=row.epoch, stopping=bool(row.stop),
        model=str(row.options.get("model") or ""), report=str(report.get("text") or ""),
        tokens=int(usage.get("tokens") or 0), cost_usd=float(usage.get("cost_usd") or 0.0),
        wall_s=float(usage.get("wall_s") or 0.0), finished=bool(report.get("finished")), undo=": ".join(words),
        forked_from=row.forked_from or "",
    )  # fmt: skip


def _digest(value: object) -> str:
    return sha256(json.dumps(value, default=str).encode()).hexdigest()[:16]
