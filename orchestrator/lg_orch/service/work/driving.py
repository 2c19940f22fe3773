"""Drives one claimed run: settings, journal, what humans said, the graph, the report."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_orch.contracts.errors import StoreGone
from lg_orch.engine.driver import Driver
from lg_orch.engine.job import RunJob
from lg_orch.human.approvals import DenyAll, Nobody
from lg_orch.llm.choice import choose_backend, require_keys
from lg_orch.llm.providers import api_keys
from lg_orch.recording.event_bus import EventBus
from lg_orch.recording.journal import whole_journal
from lg_orch.runs.history import prior_of
from lg_orch.service.work.cloning import branched, placed
from lg_orch.service.work.said import if_lost, write_said
from lg_orch.service.work.warm_gateways import Loan
from lg_policy.clones.git_program import GitEnded
from lg_policy.config.loading import expand_env
from lg_policy.config.trust import accepted_guide
from lg_policy.errors import NotFound
from lg_policy.secrets.masking import Masker
from lg_policy.state import load_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from lg_orch.contracts.events import Event
    from lg_orch.contracts.state import Final
    from lg_orch.engine.signals import StopRequests
    from lg_orch.runs.spans import Spans
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.work.places import Place
    from lg_orch.service.work.tools import WorkerTools
    from lg_orch.service.work.warm_gateways import WarmGateways
    from lg_orch.settings.setup import CommandSetup


async def drive(
    tools: WorkerTools, lease: Lease, row: RunRow, stop: StopRequests, gateways: WarmGateways | None = None
) -> dict[str, Any]:
    """Drive the run until it ends or waits; returns its report. `gateways` may have one that runs already.

    Raises `RunLost`, `RunBusy`, and `ConfigError` for settings with which no run can begin.
    """
    try:
        row = await anyio.to_thread.run_sync(placed, tools, lease, row, stop)
    except GitEnded:
        return {"status": "interrupted", "text": "The run was stopped while its repository was cloned."}
    setup = await anyio.to_thread.run_sync(tools.repositories.setup, row.root, row.options)
    store_url = _store_url(tools, setup)
    spans = _spans(setup.loaded.settings.trace.otlp_endpoint)
    place = await anyio.to_thread.run_sync(tools.places.open, lease, setup.state.path, store_url)
    try:
        async with _gateway(tools, setup, row, gateways) as loan:
            job = await _job(tools, setup, row, place, stop, spans)
            driver = Driver(replace(job, connection=loan.connection))
            final = await driver.run()
            # An answer that holds "until its client ends" ends with the run.
            asked = any(event.kind == "approval" for event in journalled(place))
            loan.keep = driver.cause is None and final.status in ("done", "unchecked") and not asked
        if isinstance(driver.cause, StoreGone):
            raise driver.cause  # nothing is wrong with the run: it goes on when the store is back
        await anyio.to_thread.run_sync(place.settle)
        report = report_of(final, journalled(place))
        return report | await anyio.to_thread.run_sync(branched, tools, lease, row, place)
    finally:
        for listener in spans:
            listener.close()
        await anyio.to_thread.run_sync(place.close)


def _gateway(
    tools: WorkerTools, setup: CommandSetup, row: RunRow, gateways: WarmGateways | None
) -> AbstractAsyncContextManager[Loan]:
    """Return what lends the run a gateway, of a repository that has none of its own running."""
    if gateways is None or tools.gateway(row.root)[0] is not None or tools.repositories.workspaces.is_clone(row.root):
        return nullcontext(Loan(connection=None))
    return gateways.lent(setup, tools.repositories.environ)


async def _job(
    tools: WorkerTools, setup: CommandSetup, row: RunRow, place: Place, stop: StopRequests, spans: Sequence[Spans]
) -> RunJob:
    store_url = _store_url(tools, setup)
    settings, environ = setup.loaded.settings, tools.repositories.environ
    chosen = choose_backend(settings.models, environ, cache_dir=setup.state.path / "model-cache")
    await anyio.to_thread.run_sync(require_keys, settings.models, environ)
    gateway_url, gateway_token = tools.gateway(row.root)
    masker = Masker(load_key("mask"), [*api_keys(environ), *([gateway_token] if gateway_token else [])])
    events = journalled(place)
    bus = EventBus(place.journal, masker, spans, after=events[-1].seq if events else 0)
    said = tools.leases.runs.said(row.run_id)
    resumed, lost = bool(events), if_lost(events, said)
    origin = None if resumed else await forked(tools, row, place, store_url)
    events = write_said(bus, events, said)
    tools.leases.runs.heard([each.id for each in said])
    options = {name: value for name, value in row.options.items() if value is not None}
    record: dict[str, Any] = {
        "sources": list(setup.loaded.sources),
        "options": {**options, "root": row.root, "gateway": gateway_url, "profile": settings.profile},
    }
    return RunJob(
        request=masker.mask(row.request), run=place.run, root=setup.root, root_id=setup.root_id,
        allow_broad=setup.flags.allow_broad_root, state_dir=setup.state.path, settings=settings, chosen=chosen, bus=bus,
        environ=environ, say=_nothing, gateway_url=gateway_url, gateway_token=gateway_token,
        flags=DenyAll() if row.options.get("approvals") == "deny" else Nobody(), person=Nobody(),
        record=record | ({"forked_from": origin} if origin else {}), store_url=store_url, resumed=resumed,
        prior=prior_of(events, origin), if_lost=lost, accepted_guide=accepted_guide(setup.root),
        stop=stop, fence=place.fence, keep=place.keep, begun=time.monotonic(),
    )  # fmt: skip


def _store_url(tools: WorkerTools, setup: CommandSetup) -> str:
    return expand_env(setup.loaded.settings.store.url, tools.repositories.environ, "store.url")


def _spans(endpoint: str | None) -> list[Spans]:
    """Return what sends the run as spans; nothing, and nothing is imported for it, where that is off."""
    if not endpoint:
        return []
    from lg_orch.runs.spans import shared_spans_to

    return [shared_spans_to(endpoint)]


async def forked(tools: WorkerTools, row: RunRow, place: Place, store_url: str) -> dict[str, Any] | None:
    """Give a fork its first state; returns what its record says of its origin. Raises `NotFound`, `UsageError`."""
    if row.forked_from is None:
        return None
    from lg_orch.runs.forking import fork

    run_id, _, step = row.forked_from.partition(":")
    source_row = tools.leases.runs.get(run_id)
    source = tools.places.source(run_id, tools.repositories.state(source_row.root), row.run_id)
    return await fork(source, whole_journal(source.journal), place.run, int(step), store_url)


def journalled(place: Place) -> list[Event]:
    """Return the run's events so far. Raises `Conflict` when its journal is damaged."""
    try:
        return whole_journal(place.run.journal)
    except NotFound:
        return []


def report_of(final: Final, events: Sequence[Event]) -> dict[str, Any]:
    """Return what the run's row keeps of its end."""
    end: dict[str, Any] = next(
        (event.data for event in reversed(events) if event.name == "run" and event.phase == "end"), {}
    )
    return {
        "status": final.status,
        "text": final.text,
        "usage": end.get("usage"),
        "verification": end.get("verification"),
        "finished": bool(end.get("finished")),
    }


def _nothing(_line: str) -> None:
    """Say nothing: nobody reads a worker's terminal for a run."""
