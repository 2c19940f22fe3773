"""Does the regular work of a running gateway.

It writes the counts of repeated refusals to the ledger, removes old rows, and moves old records into segment files.

Removing by age also removes idempotency keys, so a clock that jumps forward must not make everything old. If the wall
clock and the machine's own clock have drifted apart since the start, nothing is removed until the gateway is restarted.
Not covered: a clock that is already wrong when the gateway starts.
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
PAUSE_S = 0.01
"""Between two transactions of this work, so that calls have their turn."""
DRIFT_S = 3_600.0
LAST_RECORDS_S = 5.0


def machine_clock() -> float:
    """Return seconds that only go forward; where the system counts them, also those while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Housekeeping:
    """The regular work. `clock` is wall time; `steady` is a clock that nobody sets. Both are in seconds."""

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
        """Do the regular work until cancelled."""
        while True:
            await anyio.sleep(TICK_S)
            await self._recorder.end_floods()
            if self._swept is None or self._steady() - self._swept >= SWEEP_S:
                self._swept = self._steady()
                await self.sweep()

    async def close(self) -> None:
        """Record the refusals that were only counted so far."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_RECORDS_S):
            await self._recorder.end_floods(everything=True)

    async def sweep(self) -> None:
        """Remove what is old enough, and move old records into segment files."""
        now, settings = self._clock(), self._settings()
        if abs(now - self._steady() - self._offset) > DRIFT_S:
            log.warning(
                "the clock was changed since the start; nothing is removed by age until you restart the gateway"
            )
            return
        try:
            more = True
            while more:
                more = await self._store.write(lambda tx: forget(tx, self._tokens, settings, now))
                await anyio.sleep(PAUSE_S)
            await self._retain(now, settings.ledger)
        except (StoreError, SealingError, OSError) as error:
            log.error("cannot remove old rows or move old records: %s", error)  # noqa: TRY400  the message says it all

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
