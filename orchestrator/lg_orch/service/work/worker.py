"""One worker: claims runs, drives several at a time, shows signs of life, stops when asked.

All of it happens in one event loop, which may run in a thread of its own beside the API. A run that is lost to another
worker is dropped where it stands; nothing more is written for it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from lg_orch.contracts.errors import RunBusy, RunLost, StoreGone
from lg_orch.contracts.text import sentence
from lg_orch.engine.signals import StopRequests
from lg_orch.service.logs import current_run
from lg_orch.service.work.driving import drive
from lg_orch.service.work.tools import WorkerTools
from lg_orch.service.work.undoing import take_back
from lg_orch.service.work.warm_gateways import WarmGateways
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from lg_orch.contracts.state import Status
    from lg_orch.service.records.interface import WorkerPresence
    from lg_orch.service.records.lease_table import Lease
    from lg_orch.service.records.rows import RunRow
    from lg_policy.config.service import ServiceSettings

log = logging.getLogger(__name__)
IDLE_S = 0.25
"""Seconds between two looks for a run to begin, and for what a driven run is asked to do."""
SHARED_IDLE_S = 1.0
"""The same where many workers share a store."""
BUSY_S = 2.0
"""Seconds until a run is claimed again whose lock another process holds, or whose store was lost."""


def worker_name() -> str:
    """Return a name that no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class Worker:
    """Drives runs until it is asked to stop."""

    def __init__(self, tools: WorkerTools, settings: ServiceSettings, name: str | None = None) -> None:
        self._tools = tools
        self._settings = settings
        self.name = name or worker_name()
        self._going: dict[Lease, StopRequests] = {}
        self._stopping = False
        self._wake = anyio.Event()
        self._presence: WorkerPresence | None = None
        self._there = False
        self._next_look = 0.0
        self._gateways: WarmGateways | None = None
        self._idle_s = SHARED_IDLE_S if tools.leases.database.shared else IDLE_S

    async def run(self) -> None:
        """Claim and drive runs until `stop`; those that are being driven then stop between two calls."""
        async with anyio.create_task_group() as group:
            idle_s, most = self._settings.gateway_idle_s, self._settings.gateways_kept
            self._gateways = WarmGateways(group, idle_s=idle_s, most=most)
            while not self._stopping:
                there = await self._present()
                if there and len(self._going) < self._settings.concurrency and await self._begin(group):
                    continue
                with anyio.move_on_after(self._idle_s):
                    await self._wake.wait()
            self._gateways.end()
        if self._presence is not None:
            self._presence.release()

    async def _present(self) -> bool:
        """Now and then look for lost workers, and show that this one lives; false while the store is gone."""
        if anyio.current_time() < self._next_look:
            return self._there
        self._next_look = anyio.current_time() + min(self._settings.heartbeat_s, self._settings.lease_s / 4)
        self._there = await self._sweep()
        return self._there

    def wake(self) -> None:
        """Have it look for a run now; to be called in its event loop."""
        self._wake.set()
        if not self._stopping:
            self._wake = anyio.Event()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping

    def stop(self) -> None:
        """Ask it to stop; to be called in its event loop."""
        self._stopping = True
        self._wake.set()
        for requests in self._going.values():
            requests.soon()

    async def _sweep(self) -> bool:
        """Renew the presence, and queue the runs of lost workers again; false while the store is gone."""
        try:
            if self._presence is None:
                self._presence = await anyio.to_thread.run_sync(self._tools.presence, self.name)
            else:
                await anyio.to_thread.run_sync(self._presence.renew)
            mine = tuple(self._going)
            lost = await anyio.to_thread.run_sync(self._tools.leases.take_from_lost, mine)
            await anyio.to_thread.run_sync(self._do_chores)
        except StoreGone as error:
            log.warning("%s", error.message)
            return False
        for run_id in lost:
            log.warning("the worker of run %s shows no sign of life; the run is queued again", run_id)
        return True

    def _do_chores(self) -> None:
        """Begin scheduled runs and remove old ones; that this fails is no reason to drive none. Raises `StoreGone`."""
        if self._tools.chores is None:
            return
        try:
            self._tools.chores.do()
        except StoreGone:
            raise
        except (LgError, OSError) as error:
            log.warning("schedules or old runs could not be looked after: %s", error)

    async def _begin(self, group: TaskGroup) -> bool:
        try:
            claimed = await anyio.to_thread.run_sync(self._tools.leases.claim, self.name)
        except StoreGone as error:
            log.warning("%s", error.message)
            return False
        if claimed is None:
            return False
        self._going[claimed[0]] = StopRequests()
        group.start_soon(self.hold, *claimed)
        return True

    async def hold(self, lease: Lease, row: RunRow) -> None:
        """Do a claimed run's work, with signs of life meanwhile, and give the run back."""
        requests = self._going.setdefault(lease, StopRequests())
        current_run.set(lease.run_id)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._live, lease, requests)
                await self._work(lease, row, requests)
                group.cancel_scope.cancel()
        finally:
            del self._going[lease]
            self.wake()

    async def _live(self, lease: Lease, requests: StopRequests) -> None:
        """Renew the lease, and pass on what the run is asked to do."""
        renewed = anyio.current_time()
        while True:
            await anyio.sleep(self._idle_s)
            due = anyio.current_time() - renewed > self._settings.heartbeat_s
            try:
                asked = await anyio.to_thread.run_sync(
                    self._tools.leases.renew if due else self._tools.leases.asked, lease
                )
            except RunLost:
                requests.now()
                return
            except StoreGone:
                if anyio.current_time() - renewed > self._settings.lease_s:
                    requests.now()
                    return
                continue
            renewed = anyio.current_time() if due else renewed
            if asked == "cancel":
                requests.now()
            elif asked == "soon":
                requests.soon()

    async def _work(self, lease: Lease, row: RunRow, requests: StopRequests) -> None:
        leases = self._tools.leases
        try:
            if row.work == "undo":
                undone = await self._undo(lease, row, requests)
                await anyio.to_thread.run_sync(leases.undone, lease, undone)
                return
            report = await self._report(lease, row, requests)
            if self._stopping and report["status"] == "interrupted" and leases.asked(lease) != "cancel":
                leases.put_back(lease, delay_s=0.0)
                return
            await anyio.to_thread.run_sync(leases.report, lease, report["status"], report)
        except RunLost as error:
            log.warning("%s; this worker drops it", error.message)
        except RunBusy:
            leases.put_back(lease, delay_s=BUSY_S)
        except StoreGone as error:
            log.warning("run %s: %s", lease.run_id, error.message)
            await self._return_later(lease)

    async def _report(self, lease: Lease, row: RunRow, requests: StopRequests) -> dict[str, Any]:
        """Drive the run; what no run can begin with is its report too."""
        try:
            return await drive(self._tools, lease, row, requests, self._gateways)
        except (RunLost, RunBusy, StoreGone):
            raise
        except LgError as error:
            status: Status = "refused"
            text = sentence(error.message) + (f"\n\n{sentence(error.hint)}" if error.hint else "")
            return {"status": status, "text": text}
        except Exception as error:
            # The edge of a run: whatever breaks it, the other runs of this worker go on.
            log.exception("run %s failed", lease.run_id)
            return {"status": "failed", "text": f"Internal error: {type(error).__name__}; the worker's log says more."}

    async def _undo(self, lease: Lease, row: RunRow, requests: StopRequests) -> dict[str, Any]:
        """Take back what the run changed; what breaks that is its outcome."""
        try:
            return await take_back(self._tools, lease, row, requests)
        except (RunLost, RunBusy, StoreGone):
            raise
        except Exception as error:
            # The same edge: the other runs of this worker go on.
            log.exception("the undo of run %s failed", lease.run_id)
            said = f"Internal error: {type(error).__name__}; the worker's log says more."
            return {**(row.undo or {}), "state": "failed", "error": said}

    async def _return_later(self, lease: Lease) -> None:
        """Give a run back whose store was lost. Where that fails too, its lease ends by itself."""
        await anyio.sleep(BUSY_S)
        try:
            self._tools.leases.put_back(lease, delay_s=0.0, counted=True)
        except StoreGone as error:
            log.warning("run %s stays claimed until its lease ends: %s", lease.run_id, error.message)
