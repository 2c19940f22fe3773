"""What a running gateway does now and then: flood_summary to the ledger, old rows away, old records into segments.

What is forgotten by age is an idempotency key too, so a clock that jumps forward must not make everything old: when
wall clock and machine clock have drifted apart since the start, nothing is removed until the gateway is started again.
Not covered: a clock that is wrong already when the gateway starts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import anyio

from lg_gateway.calls.recorder import LedgerRecorder
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.ledger import stamp
from lg_gateway.ledger.segments import Archive, SealingError
from lg_gateway.serving.retention import DAY_S, forget
from lg_gateway.store.interface import Store, StoreError
from lg_policy.config.settings import LedgerSettings, Settings

log = logging.getLogger(__name__)

TICK_S = 5.0
SWEEP_S = 600.0
DRIFT_S = 3_600.0
LAST_RECORDS_S = 5.0


def machine_clock() -> float:
    """Return seconds that only run forward and also pass while the machine sleeps, where it tells them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Housekeeping:
    """`clock` is wall time, `steady` a clock that nobody sets; both in seconds."""

    def __init__(
        self,
        store: Store,
        recorder: LedgerRecorder,
        archive: Archive,
        tokens: TokenTable,
        settings: Callable[[], Settings],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = machine_clock,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._archive = archive
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()
        self._swept: float | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await anyio.sleep(TICK_S)
            await self._recorder.end_floods()
            if self._swept is None or self._steady() - self._swept >= SWEEP_S:
                self._swept = self._steady()
                await self.sweep()

    async def close(self) -> None:
        """Record what was only counted so far."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_RECORDS_S):
            await self._recorder.end_floods(everything=True)

    async def sweep(self) -> None:
        """Forget what is old enough."""
        now, settings = self._clock(), self._settings()
        if abs(now - self._steady() - self._offset) > DRIFT_S:
            log.warning("the clock was set since the start: nothing is removed by age until the gateway starts again")
            return
        try:
            await self._store.write(lambda tx: forget(tx, self._tokens, settings, now))
            await self._retain(now, settings.ledger)
        except (StoreError, SealingError, OSError) as error:
            log.error("old records stay where they are: %s", error)  # noqa: TRY400  the message says it all

    async def _retain(self, now: float, settings: LedgerSettings) -> None:
        if settings.keep_days:
            # A day late, so that each start of a gateway does not make a segment of its own.
            oldest = await self._store.read(self._archive.oldest)
            if oldest is not None and oldest < _ago(now, settings.keep_days + 1):
                await self._archive.seal(_ago(now, settings.keep_days), by="ledger.keep_days")
        if settings.segment_days:
            await self._archive.prune(_ago(now, settings.segment_days), by="ledger.segment_days", now=_ago(now, 0))


def _ago(now: float, days: int) -> str:
    return stamp(datetime.fromtimestamp(now - days * DAY_S, UTC))
