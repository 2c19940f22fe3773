"""Puts a service together from settings: its store, its tokens, what its workers need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_orch.service.records.lease_table import LeaseTable
from lg_orch.service.records.run_events import RunFiles
from lg_orch.service.records.run_table import RunTable
from lg_orch.service.records.schedule_table import ScheduleTable
from lg_orch.service.records.sqlite import SqliteDatabase
from lg_orch.service.records.token_table import TokenRows
from lg_orch.service.repositories import Repositories
from lg_policy.clones.workspaces import Workspaces
from lg_policy.config.loading import expand_env
from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command
from lg_policy.state import load_key

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lg_orch.service.records.interface import Database, WorkerPresence
    from lg_orch.service.records.run_events import RunEvents
    from lg_orch.service.work.places import Places
    from lg_orch.settings.setup import CommandSetup
    from lg_policy.config.service import ServiceSettings

DATABASE = "service.db"
TOKEN = "service-token"  # noqa: S105  the name of a file
TOKEN_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a service is made of."""

    settings: ServiceSettings
    state: Path
    """The state directory of the repository that the service was started in."""
    database: Database
    runs: RunTable
    leases: LeaseTable
    events: RunEvents
    places: Places
    tokens: TokenRows
    repositories: Repositories
    schedules: ScheduleTable
    store_url: str

    def presence(self, worker: str) -> WorkerPresence | None:
        """Return what shows other machines that a worker's process lives; nothing where all are on this one."""
        return presence_in(self.database, worker)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def assemble(args: argparse.Namespace, setup: CommandSetup, environ: Mapping[str, str] = os.environ) -> Parts:
    """Open the store that the settings name. Raises `ConfigError`, `StoreGone`."""
    settings = setup.loaded.settings
    flags = _flags(args)
    place = settings.service.workspaces
    workspaces = Workspaces(Path(place) if place is not None else setup.state.path / "workspaces")
    repositories = Repositories(
        home=setup.root, allowed=settings.service.repositories, workspaces=workspaces,
        clone_from=settings.service.clone_from, flags=flags, environ=dict(environ),
    )  # fmt: skip
    url = expand_env(settings.store.url, environ, "store.url")
    database, events, places = _store(url, setup.state.path, repositories)
    return Parts(
        settings=settings.service, state=setup.state.path, database=database, runs=RunTable(database),
        leases=_leases(database, settings.service),
        events=events, places=places, tokens=TokenRows(database, load_key("service-tokens")),
        repositories=repositories, schedules=ScheduleTable(database), store_url=url,
    )  # fmt: skip


def _store(url: str, state: Path, repositories: Repositories) -> tuple[Database, RunEvents, Places]:
    from lg_orch.runs.checkpoint import is_postgres
    from lg_orch.service.work.places import LocalPlaces

    if not is_postgres(url):
        return SqliteDatabase(state / DATABASE), RunFiles(repositories.state), LocalPlaces()
    try:
        from lg_orch.service.records.postgres import PostgresDatabase
        from lg_orch.service.records.stored_events import StoredEvents
        from lg_orch.service.work.shared_places import SharedPlaces
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"store.url is PostgreSQL and {error.name} is not installed", hint=extra_command("orch-postgres")
        ) from error
    database = PostgresDatabase(url)
    return database, StoredEvents(database), SharedPlaces(database, state)


def presence_in(database: Database, worker: str) -> WorkerPresence | None:
    """Return the lock of a worker. Raises `StoreGone`."""
    if not database.shared:
        return None
    from lg_orch.service.records.postgres import PostgresDatabase, Presence

    return Presence(database.url, worker) if isinstance(database, PostgresDatabase) else None


def _leases(database: Database, settings: ServiceSettings) -> LeaseTable:
    if database.shared:
        from lg_orch.service.records.postgres import is_dead
    else:
        from lg_orch.service.records.sqlite import is_dead
    return LeaseTable(
        database, lease_s=settings.lease_s, max_attempts=settings.max_attempts, silent_s=1.5 * settings.heartbeat_s,
        is_dead=is_dead,
    )  # fmt: skip


def _flags(args: argparse.Namespace) -> argparse.Namespace:
    """The command's flags as every run of the service has them; paths do not depend on the current directory."""
    import argparse as argparse_

    values = {**vars(args), "trace": False}
    for name in ("config", "state_dir"):
        given = values.get(name) or os.environ.get({"config": "LG_CONFIG", "state_dir": "LG_STATE_DIR"}[name])
        values[name] = Path(given).absolute() if given else None
    return argparse_.Namespace(**values)
