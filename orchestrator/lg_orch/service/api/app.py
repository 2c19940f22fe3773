"""The application: its addresses, made into routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_orch.contracts.errors import StoreGone
from lg_orch.contracts.events import RunTrace
from lg_orch.service.api import acting, bodies, reading, scheduling
from lg_orch.service.api.access import require_role
from lg_orch.service.api.endpoints import Endpoint, openapi
from lg_orch.service.api.event_stream import FollowEvents, run_events
from lg_orch.service.api.problems import (
    ApiError,
    of_api_error,
    of_failure,
    of_http_error,
    of_lg_error,
    problem,
)  # fmt: skip
from lg_orch.service.api.requests import Answer, Guard, answering
from lg_orch.service.records.run_counts import run_families
from lg_policy.errors import LgError
from lg_policy.metrics_text import metrics_text
from lg_policy.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from lg_orch.service.api.service import RunService

_RUN = "/v1/runs/{run_id}"
_KEY = {"Idempotency-Key": "The same key with the same body answers with the run that it made before."}
_MADE = {201: ("The new run.", bodies.RunView), 200: ("The run that this key made before.", bodies.RunView)}
_TAKEN = {202: ("The run, which a worker goes on with.", bodies.RunView)}
ENDPOINTS = (
    Endpoint(
        method="POST", path="/v1/runs", name="create_run", summary="Create a run.", role="operator",
        handler=acting.create_run, body=bodies.CreateRun, headers=_KEY, answers=_MADE,
    ),
    Endpoint(
        method="GET", path="/v1/runs", name="list_runs", summary="List runs, the newest first.", role="viewer",
        handler=reading.list_runs, query=reading.ListRuns, answers={200: ("A page of runs.", bodies.RunPage)},
    ),
    Endpoint(
        method="GET", path=_RUN, name="get_run", summary="Show a run and its questions.", role="viewer",
        handler=reading.get_run, answers={200: ("The run.", bodies.RunDetail)},
    ),
    Endpoint(
        method="GET", path=f"{_RUN}/events", name="run_events", summary="Follow a run's events.", role="viewer",
        handler=run_events, query=FollowEvents, headers={"Last-Event-ID": "The number of the last event received."},
        answers={200: ("The events, as they come.", "text/event-stream")},
    ),
    Endpoint(
        method="GET", path=f"{_RUN}/trace", name="get_trace", summary="Show everything that happened in a run.",
        role="viewer", handler=reading.get_trace, answers={200: ("The trace.", RunTrace)},
    ),
    Endpoint(
        method="GET", path=f"{_RUN}/artifacts", name="list_artifacts", summary="List a run's files.", role="viewer",
        handler=reading.list_artifacts, answers={200: ("Their names.", bodies.ArtifactList)},
    ),
    Endpoint(
        method="GET", path=f"{_RUN}/artifacts/{{name:path}}", name="get_artifact", summary="Download one file.",
        role="viewer", handler=reading.get_artifact, answers={200: ("The file.", "application/octet-stream")},
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/answer", name="answer_run", summary="Answer a question of a run.",
        role="approver", handler=acting.answer_run, body=bodies.AnswerRun, answers=_TAKEN,
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/say", name="say_to_run", summary="Add guidance to a run.", role="approver",
        handler=acting.say_to_run, body=bodies.SayToRun, answers=_TAKEN,
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/resume", name="resume_run", summary="Resume a run that stopped before its end.",
        role="operator", handler=acting.resume_run, body=bodies.ResumeRun, optional=True, answers=_TAKEN,
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/fork", name="fork_run", summary="Begin a new run after a step of this one.",
        role="operator", handler=acting.fork_run, body=bodies.ForkRun, headers=_KEY, answers=_MADE,
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/undo", name="undo_run", summary="Take back what a run changed.", role="operator",
        handler=acting.undo_run, body=bodies.UndoRun, optional=True,
        answers={200: ("What would be reverted.", bodies.UndoPreview), **_TAKEN},
    ),
    Endpoint(
        method="POST", path=f"{_RUN}/cancel", name="cancel_run", summary="Cancel a run.", role="operator",
        handler=acting.cancel_run, answers={200: ("The run, which has ended.", bodies.RunView), **_TAKEN},
    ),
    Endpoint(
        method="GET", path="/v1/schedules", name="list_schedules", summary="List the schedules.", role="viewer",
        handler=scheduling.list_schedules, answers={200: ("All of them.", scheduling.ScheduleList)},
    ),
    Endpoint(
        method="POST", path="/v1/schedules", name="add_schedule", summary="Make a request again and again.",
        role="operator", handler=scheduling.add_schedule, body=scheduling.AddSchedule,
        answers={201: ("The schedule.", scheduling.ScheduleView)},
    ),
    Endpoint(
        method="DELETE", path="/v1/schedules/{name}", name="remove_schedule", summary="Remove a schedule.",
        role="operator", handler=scheduling.remove_schedule,
        answers={200: ("The schedule that was removed.", scheduling.ScheduleView)},
    ),
)  # fmt: skip
"""All of them."""


def run_api(service: RunService, extra: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application. `extra` routes are served beside it, behind the same checks of host and origin."""
    document = openapi(ENDPOINTS, __version__)

    async def described(_request: Request) -> Response:
        return JSONResponse(document)

    async def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        try:
            await anyio.to_thread.run_sync(service.runs.reachable)
        except StoreGone:
            return problem(503, "not_ready", "the store cannot be reached", headers={"retry-after": "5"})
        if service.worker_ended():
            text = "the worker of this service has ended: runs stay queued"
            return problem(503, "not_ready", text, headers={"retry-after": "5"})
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        await require_role(service.logins, request, "viewer")
        families = await anyio.to_thread.run_sync(run_families, service.runs.database)
        kind, body = metrics_text(families, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": kind, "cache-control": "no-store"})

    langgraph: list[BaseRoute] = []
    if service.settings.langgraph_api:
        from lg_orch.service.langgraph_api.routes import LANGGRAPH

        langgraph = _routes(service, LANGGRAPH)
    routes = [
        *_routes(service, ENDPOINTS),
        *langgraph,
        Route("/openapi.json", described, methods=["GET"]),
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        *extra,
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, hosts=service.settings.allowed_hosts, origins=service.settings.allowed_origins),
        ],
        exception_handlers={
            ApiError: of_api_error, LgError: of_lg_error, HTTPException: of_http_error, Exception: of_failure,
        },
    )  # fmt: skip


def _routes(service: RunService, endpoints: Sequence[Endpoint]) -> list[BaseRoute]:
    """One route for each path, so that a method that it has not is told which it has."""
    by_path: dict[str, dict[str, Answer]] = {}
    for entry in endpoints:
        by_path.setdefault(entry.path, {})[entry.method] = answering(service, entry)
    return [Route(path, _by_method(answers), methods=list(answers)) for path, answers in by_path.items()]


def _by_method(answers: Mapping[str, Answer]) -> Answer:
    async def answer(request: Request) -> Response:
        return await answers["GET" if request.method == "HEAD" else request.method](request)

    return answer
