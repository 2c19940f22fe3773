"""Schedules over the API: add, list, remove; and the run that a schedule makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from pydantic import Field, ValidationError
from starlette.responses import JSONResponse, Response

from lg_orch.runs.run_directory import fresh_run_id
from lg_orch.service.api.acting import OPTIONS, refuse_ref
from lg_orch.service.api.bodies import Body, Clean, CreateRun, View
from lg_orch.service.records.rows import NewRun
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from lg_orch.service.api.endpoints import Call
    from lg_orch.service.records.schedule_table import Schedule
    from lg_orch.service.repositories import Repositories
    from lg_policy.secrets.masking import Masker


class AddSchedule(Body):
    """A new schedule."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    cron: Annotated[Clean, Field(min_length=9, max_length=100)]
    """Five fields: minute, hour, day, month, weekday, such as `0 3 * * 1-5`."""
    zone: Annotated[Clean, Field(min_length=1, max_length=60)] = "UTC"
    """The time zone that the expression is meant in, such as `Europe/Vienna`."""
    run: CreateRun
    """The run that is created each time."""


class ScheduleView(View):
    """A schedule."""

    name: str
    cron: str
    zone: str
    run: dict[str, Any]
    created_by: str
    next: str
    """When it makes its next run: UTC, ISO 8601."""
    last: str | None
    """When its time came last."""
    last_run: str | None
    """The run that it made last."""
    error: str | None
    """Why the last time made no run."""


class ScheduleList(View):
    """All schedules."""

    schedules: tuple[ScheduleView, ...]


async def list_schedules(call: Call) -> Response:
    """Answer all schedules."""
    found = await anyio.to_thread.run_sync(call.service.schedules.all)
    return JSONResponse({"schedules": [shown(schedule) for schedule in found]})


async def add_schedule(call: Call) -> Response:
    """Keep a schedule; what its runs could not begin with is refused now."""
    body: AddSchedule = call.body
    service = call.service

    def add() -> Schedule:
        checked_run(body.run, service.repositories)
        asked = masked(body.run, service.masker).model_dump(mode="json", exclude_none=True)
        return service.schedules.add(body.name, body.cron, body.zone, asked, call.caller.name)

    return JSONResponse(shown(await anyio.to_thread.run_sync(add)), 201)


async def remove_schedule(call: Call) -> Response:
    """Remove a schedule."""
    name = str(call.request.path_params["name"])
    return JSONResponse(shown(await anyio.to_thread.run_sync(call.service.schedules.remove, name)))


def masked(run: CreateRun, masker: Masker) -> CreateRun:
    """Return a request without the secrets that it may hold."""
    return run.model_copy(update={"request": masker.mask(run.request)})


def checked_run(run: CreateRun, repositories: Repositories) -> tuple[str, str, str]:
    """Return the repository of a request, its directory and id. Raises what keeps such a run from beginning."""
    named, root, root_id = repositories.resolve(run.repository)
    refuse_ref(run, root)
    repositories.refuse_raised(run.model_dump(include=OPTIONS), root)
    return named, root, root_id


def scheduled_run(schedule: Schedule, repositories: Repositories, masker: Masker) -> NewRun:
    """Return the run that a schedule makes now. Raises what the settings of today refuse."""
    try:
        run = masked(CreateRun.model_validate(schedule.body), masker)
    except ValidationError as error:
        raise InvalidArguments(f"the request of schedule {schedule.name} does not fit this version") from error
    named, root, root_id = checked_run(run, repositories)
    run_id = fresh_run_id()
    return NewRun(
        run_id=run_id, request=run.request, repository=named, root=root, root_id=root_id or f"clone:{run_id}",
        options=run.model_dump(include=OPTIONS), created_by=schedule.created_by, priority=run.priority,
    )  # fmt: skip


def shown(schedule: Schedule) -> dict[str, Any]:
    """Return what the API tells of a schedule."""
    return ScheduleView(
        name=schedule.name, cron=schedule.cron, zone=schedule.zone, run=dict(schedule.body),
        created_by=schedule.created_by, next=_time(schedule.next_at) or "", last=_time(schedule.last_at),
        last_run=schedule.last_run, error=schedule.error,
    ).model_dump(mode="json")  # fmt: skip


def _time(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds is not None else None
