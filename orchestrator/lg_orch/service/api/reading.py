"""What a viewer asks for: the list, one run, its trace and files."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from pydantic import Field
from starlette.responses import JSONResponse, Response

from lg_orch.runs.timeline import patches_of, standing
from lg_orch.runs.trace import build_trace
from lg_orch.service.api.bodies import ArtifactView, Body, Clean
from lg_orch.service.api.service import detail_of, view_of
from lg_orch.service.records.rows import Filter, RunPhase
from lg_orch.service.records.run_events import BRANCH_BUNDLE, BRANCH_PATCH
from lg_orch.service.run_patch import whole_diff
from lg_policy.errors import InvalidArguments, NotFound

if TYPE_CHECKING:
    from lg_orch.service.api.endpoints import Call
    from lg_orch.service.api.service import RunService
    from lg_orch.service.records.rows import RunRow

PAGE = 50
PATCH, REPORT = "changes.patch", "report.md"
RESULT = "results/"
BRANCH_FILES = {
    BRANCH_PATCH: ("text/x-diff", "what the run changed in its clone, for `git apply`"),
    BRANCH_BUNDLE: ("application/octet-stream", "the commit, for `git fetch branch.bundle`"),
}


class ListRuns(Body):
    """Which runs a list holds."""

    state: RunPhase | None = None
    """Only runs in that state."""
    repository: Annotated[Clean, Field(max_length=2_000)] | None = None
    """Only runs of that repository."""
    text: Annotated[Clean, Field(max_length=200)] | None = None
    """Only runs with that text in the request or in the id."""
    limit: Annotated[int, Field(ge=1, le=200)] = PAGE
    """At most so many."""
    after: Annotated[Clean, Field(max_length=200)] | None = None
    """`next` of the page before."""


async def list_runs(call: Call) -> Response:
    """Answer a page of runs, the newest first."""
    asked: ListRuns = call.query
    chosen = Filter(
        state=asked.state,
        repository=asked.repository,
        text=asked.text,
        before=position_of(asked.after) if asked.after is not None else None,
    )
    rows = await anyio.to_thread.run_sync(call.service.runs.page, chosen, asked.limit + 1)
    shown = rows[: asked.limit]
    following = cursor_of(shown[-1]) if len(rows) > len(shown) else None
    return JSONResponse({"runs": [view_of(row) for row in shown], "next": following})


async def get_run(call: Call) -> Response:
    """Answer one run with its questions."""
    row = await anyio.to_thread.run_sync(call.service.runs.get, call.run_id)
    return JSONResponse(await anyio.to_thread.run_sync(detail_of, call.service, row))


async def get_trace(call: Call) -> Response:
    """Answer the run's trace, as `lg-orch run --trace` writes it."""
    return Response(await anyio.to_thread.run_sync(_trace, call.service, call.run_id), media_type="application/json")


async def list_artifacts(call: Call) -> Response:
    """Answer the names of the run's files."""
    found = await anyio.to_thread.run_sync(artifacts_of, call.service, call.run_id)
    return JSONResponse({"artifacts": [entry.model_dump() for entry in found]})


async def get_artifact(call: Call) -> Response:
    """Answer one file, to be saved: nothing of it is ever shown as a page."""
    name = str(call.request.path_params["name"])
    data, media_type = await anyio.to_thread.run_sync(_artifact, call.service, call.run_id, name)
    last = name.rpartition("/")[2]
    return Response(data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{last}"'})


def _trace(service: RunService, run_id: str) -> bytes:
    row = service.runs.get(run_id)
    trace = build_trace(run_id, service.events.all(row))
    if row.owner is not None and row.work == "drive":
        trace = trace.model_copy(update={"status": "running"})
    return trace.model_dump_json().encode()


def artifacts_of(service: RunService, run_id: str) -> list[ArtifactView]:
    """Return the files of a run."""
    row = service.runs.get(run_id)
    events = service.events.all(row)
    found = []
    if row.report is not None:
        found.append(ArtifactView(name=REPORT, media_type="text/markdown", what="the last report"))
    if standing(patches_of(events)):
        found.append(ArtifactView(name=PATCH, media_type="text/x-diff", what="what the run changed, as a patch"))
    for name, (media_type, what) in BRANCH_FILES.items():
        if branch_of(row) is not None and service.events.file_or_none(row, name) is not None:
            found.append(ArtifactView(name=name, media_type=media_type, what=what))
    for event in events:
        digest = (((event.data.get("result") or {}).get("artifacts")) or {}).get("digest")
        if event.kind == "tool" and event.phase == "end" and digest:
            name = f"{RESULT}{digest}.json"
            found.append(ArtifactView(name=name, media_type="application/json", what=f"the result of {event.name}"))
    return list({entry.name: entry for entry in found}.values())


def _artifact(service: RunService, run_id: str, name: str) -> tuple[bytes, str]:
    row = service.runs.get(run_id)
    if name == REPORT and row.report is not None:
        return str(row.report.get("text", "")).encode(), "text/markdown; charset=utf-8"
    if name == PATCH:
        return _patch(service, row), "text/x-diff; charset=utf-8"
    if name in BRANCH_FILES and branch_of(row) is not None:
        branch = service.events.file_or_none(row, name)
        if branch is not None:
            return branch, BRANCH_FILES[name][0]
    data = service.events.file_or_none(row, name) if name.startswith(RESULT) else None
    if data is None:
        raise NotFound(f"run {run_id} has no file of that name", hint=f"GET /v1/runs/{run_id}/artifacts lists them")
    return data, "application/json"


def _patch(service: RunService, row: RunRow) -> bytes:
    patches = standing(patches_of(service.events.all(row)))
    if not patches:
        raise NotFound(f"run {row.run_id} has changed nothing that still stands")
    return whole_diff(patches, lambda digest: service.events.file_or_none(row, f"{RESULT}{digest}.json")).encode()


def branch_of(row: RunRow) -> Any:
    """Return what the run's last report, or a later undo, says of its branch."""
    undone = row.undo if row.undo and "branch" in row.undo else None
    return (undone or row.report or {}).get("branch")


def cursor_of(row: RunRow) -> str:
    """Return where a page that ends with a run ends."""
    return base64.urlsafe_b64encode(json.dumps([row.created, row.run_id]).encode()).decode().rstrip("=")


def position_of(cursor: str) -> tuple[float, str]:
    """Return where a page ended. Raises `InvalidArguments`."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created, run_id = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
        return _number(created), _run_id(run_id)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidArguments("`after` is not the `next` of a page", hint="leave it out for the first page") from error


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _run_id(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise TypeError
    return value
