"""Takes back what a run changed, as `lg-orch undo` does, for a human who asked over the API."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_orch.contracts.errors import RunBusy, RunLost, StoreGone
from lg_orch.contracts.text import many
from lg_orch.engine.driver import import_heavy
from lg_orch.recording.event_bus import EventBus
from lg_orch.recording.result_store import ResultStore
from lg_orch.runs.history import next_epoch
from lg_orch.service.work.cloning import branched
from lg_orch.service.work.driving import journalled
from lg_orch.settings.gateway_access import opened
from lg_orch.tools.gateway import check_root
from lg_orch.undo.plan import plan_undo, require_seen
from lg_policy.config.loading import expand_env
from lg_policy.errors import Conflict, LgError
from lg_policy.secrets.masking import Masker
from lg_policy.state import load_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.engine.signals import StopRequests
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.work.places import Place
    from lg_orch.service.work.tools import WorkerTools
    from lg_orch.settings.setup import CommandSetup


async def take_back(tools: WorkerTools, lease: Lease, row: RunRow, _stop: StopRequests) -> dict[str, Any]:
    """Revert the run's change sets; returns how that ended. Raises `RunLost`, `RunBusy`, `StoreGone`."""
    wanted = {name: value for name, value in (row.undo or {}).items() if name in ("by", "to")}
    try:
        tools.repositories.workspaces.require(row.root)
        setup = await anyio.to_thread.run_sync(tools.repositories.setup, row.root, row.options)
        store_url = expand_env(setup.loaded.settings.store.url, tools.repositories.environ, "store.url")
        place = await anyio.to_thread.run_sync(tools.places.open, lease, setup.state.path, store_url)
        try:
            said = await _reverted(tools, setup, place, row.undo or {})
            await anyio.to_thread.run_sync(place.settle)
            result = await anyio.to_thread.run_sync(branched, tools, lease, row, place)
        finally:
            await anyio.to_thread.run_sync(place.close)
    except (RunLost, RunBusy, StoreGone):
        raise
    except LgError as error:
        return {**wanted, "state": "failed", "error": error.message, "details": list(error.details), "hint": error.hint}
    return {**wanted, "state": "done", "text": said, **result}


async def _reverted(tools: WorkerTools, setup: CommandSetup, place: Place, asked: Mapping[str, Any]) -> str:
    """Revert what was asked for; returns what was done, in words. Raises `Conflict`."""
    await anyio.to_thread.run_sync(import_heavy)
    from lg_orch.tools.gateway_tools import GatewayTools
    from lg_orch.undo.apply import Assent, Undoer

    events, run = journalled(place), place.run
    undoing = plan_undo(events, after=int(asked.get("to") or 0))
    if asked.get("change_sets") is not None:
        require_seen([patch.change_id for patch in undoing.patches], asked["change_sets"])
    if not undoing.patches:
        return "nothing to undo: the run has no change set left to revert"
    bus = EventBus(place.journal, Masker(load_key("mask"), []), after=events[-1].seq if events else 0)
    async with AsyncExitStack() as stack:
        url, _ = tools.gateway(str(setup.root))
        connection = await opened(stack, url, setup, tools.repositories.environ, run.gateway_log)
        check_root(connection.tools, setup.root_id)
        reach = GatewayTools(
            connection.tools, connection.send, bus=bus, run_id=run.run_id, epoch=next_epoch(events),
            approver=Assent(bus),
        )  # fmt: skip
        timeout_s = setup.loaded.settings.budgets.tool_timeout_s
        undoer = Undoer(reach, bus, ResultStore(run.results, place.keep), run.run_id, timeout_s)
        undoing, obstacles = await undoer.look(undoing)
        if obstacles:
            raise Conflict(
                "nothing was undone, and no file was touched", details=obstacles,
                hint="take the later edits out of these files first; `to` undoes only what came after a step",
            )  # fmt: skip
        for number, patch in enumerate(undoing.patches):
            try:
                await undoer.take_back(patch)
            except Conflict as error:
                rest = len(undoing.patches) - number
                raise Conflict(f"{error.message}; {number} change sets were reverted, {rest} were not") from error
    return f"reverted {many(len(undoing.patches), 'change set')} in {many(len(undoing.paths), 'file')}"
