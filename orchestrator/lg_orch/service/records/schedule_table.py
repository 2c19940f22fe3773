"""Requests that are made again and again, at the times of a cron expression.

A slot is taken in the transaction that creates its run. So each slot makes one run, however many servers look, and a
slot that passed while none looked makes one run as soon as one does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from lg_orch.service.records.run_table import add_run
from lg_policy.errors import Conflict, InvalidArguments, LgError, LimitExceeded, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.service.records.interface import Database, Row
    from lg_orch.service.records.rows import NewRun

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_CRON = 100
MAX_SCHEDULES = 1_000
AT_ONCE = 20
"""Schedules that one look begins."""
RETRY_S = 3_600.0
"""Seconds until a schedule whose next time cannot be told is looked at again."""
_COLUMNS = "name, cron, zone, body, created_by, created, next_at, last_at, last_run, error"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One schedule. Times are seconds since the epoch."""

    name: str
    cron: str
    zone: str
    body: Mapping[str, Any]
    """The request, as `POST /v1/runs` takes it."""
    created_by: str
    created: float
    next_at: float
    last_at: float | None = None
    last_run: str | None = None
    error: str | None = None
    """Why its last slot made no run."""


class ScheduleTable:
    """The schedules of one database. Every method is one transaction, but `begin_due`, which is one for each slot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, cron: str, zone: str, body: Mapping[str, Any], by: str) -> Schedule:
        """Keep a schedule. Raises `InvalidArguments`, `Conflict` for a name that is taken, `LimitExceeded`."""
        if NAME.fullmatch(name) is None:
            raise InvalidArguments("a schedule's name has 1 to 64 of A-Z a-z 0-9 . _ -")
        with self._database.transaction() as tx:
            now = tx.now()
            if int(tx.execute("SELECT count(*) FROM lg_schedules")[0][0]) >= MAX_SCHEDULES:
                raise LimitExceeded(f"there are {MAX_SCHEDULES} schedules already", hint="remove one")
            made = tx.execute(
                "INSERT INTO lg_schedules (name, cron, zone, body, created_by, created, next_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING RETURNING name",
                (name, cron, zone, json.dumps(dict(body)), by, now, next_slot(cron, zone, now)),
            )
            if not made:
                raise Conflict(f"there is a schedule {name!r} already", hint="remove it first, or choose another name")
            return _schedule(tx.execute(f"SELECT {_COLUMNS} FROM lg_schedules WHERE name = ?", (name,))[0])  # noqa: S608  names of our own

    def all(self) -> list[Schedule]:
        """Return all schedules, by name."""
        with self._database.transaction() as tx:
            return [_schedule(row) for row in tx.execute(f"SELECT {_COLUMNS} FROM lg_schedules ORDER BY name")]  # noqa: S608  names of our own

    def remove(self, name: str) -> Schedule:
        """Remove a schedule; runs that it made stay. Raises `NotFound`."""
        with self._database.transaction() as tx:
            gone = tx.execute(f"DELETE FROM lg_schedules WHERE name = ? RETURNING {_COLUMNS}", (name,))  # noqa: S608  names of our own
        if not gone:
            raise NotFound(f"there is no schedule {name!r}", hint="`lg-orch schedules list` names them")
        return _schedule(gone[0])

    def begin_due(self, made: Callable[[Schedule], NewRun], *, max_queued: int) -> list[str]:
        """Create the runs whose time has come; returns their ids. What cannot be created is kept as the reason."""
        with self._database.transaction() as tx:
            rows = tx.execute(
                f"SELECT {_COLUMNS} FROM lg_schedules WHERE next_at <= ? ORDER BY next_at LIMIT {AT_ONCE}",  # noqa: S608  names of our own
                (tx.now(),),
            )
        found = [self._begin(_schedule(row), made, max_queued) for row in rows]
        return [run_id for run_id in found if run_id is not None]

    def _begin(self, schedule: Schedule, made: Callable[[Schedule], NewRun], max_queued: int) -> str | None:
        run: NewRun | None = None
        error: str | None = None
        try:
            run = made(schedule)
        except LgError as refusal:
            error = refusal.message
        with self._database.transaction() as tx:
            now = tx.now()
            try:
                next_at = next_slot(schedule.cron, schedule.zone, now)
            except InvalidArguments as refusal:
                # This machine may lack a time zone that the one which kept the schedule knows.
                run, error, next_at = None, refusal.message, now + RETRY_S
            taken = tx.execute(
                "UPDATE lg_schedules SET next_at = ?, last_at = ? WHERE name = ? AND next_at = ? AND created = ? "
                "RETURNING name",
                (next_at, now, schedule.name, schedule.next_at, schedule.created),
            )
            if not taken:
                return None  # another server was first
            if run is not None:
                try:
                    add_run(tx, run, max_queued)
                except LimitExceeded as refusal:
                    run, error = None, refusal.message
            tx.execute(
                "UPDATE lg_schedules SET last_run = coalesce(?, last_run), error = ? WHERE name = ?",
                (run.run_id if run is not None else None, error, schedule.name),
            )
        return run.run_id if run is not None else None


def next_slot(cron: str, zone: str, after: float) -> float:
    """Return the first time after that one. Raises `InvalidArguments` for what is no cron expression or time zone."""
    from cronsim import CronSim, CronSimError

    fields = cron.split()
    if len(cron) > MAX_CRON or len(fields) != 5:
        raise InvalidArguments(
            "a cron expression has five fields: minute, hour, day, month, weekday", hint='for example "0 3 * * 1-5"'
        )
    try:
        place = ZoneInfo(zone)
    except (ValueError, OSError, LookupError) as error:
        raise InvalidArguments(
            f"there is no time zone {zone[:60]!r}", hint="for example Europe/Vienna, or UTC"
        ) from error
    try:
        return float(next(CronSim(" ".join(fields), datetime.fromtimestamp(after, UTC).astimezone(place))).timestamp())
    except (CronSimError, StopIteration, OverflowError) as error:
        raise InvalidArguments(
            f"the cron expression {cron!r} cannot be read, or never comes: {error}", hint='for example "0 3 * * 1-5"'
        ) from error


def _schedule(row: Row) -> Schedule:
    return Schedule(
        name=row[0], cron=row[1], zone=row[2], body=json.loads(row[3]), created_by=row[4], created=row[5],
        next_at=row[6], last_at=row[7], last_run=row[8], error=row[9],
    )  # fmt: skip
