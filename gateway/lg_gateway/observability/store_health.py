"""Knows whether the store can be used, and says so in one log line for each outage, however many calls fail.

A PostgreSQL server can go away while the gateway runs. Each failed call would log the same again, so records about a
store that is down are counted instead, and one line tells when it went and one when it came back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import anyio

from lg_gateway.store.interface import Store, StoreDown, StoreError, Tx

log = logging.getLogger(__name__)
T = TypeVar("T")

PROBE_S = 5.0
"""Seconds that one look at the store may take."""
FRESH_S = 1.0
"""Seconds that the result of a look holds: strangers who ask for readiness cannot make the store busy."""
DOWN_PAUSE_S = 1.0
"""Between two looks at a store that is down."""
UP_PAUSE_S = 15.0
"""Between two looks at a store that nobody uses."""


class StoreHealth:
    """Whether a store can be used. `clock` is monotonic."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._looking = anyio.Lock()
        self._looked_at: float | None = None
        self._since = 0.0
        self._slow = False
        self._left_out = 0
        self.down = False
        """Whether the last use of it failed."""
        self.error = ""

    async def usable(self) -> bool:
        """Look at the store, unless that was just done, and return whether it takes a transaction."""
        async with self._looking:
            if self._looked_at is None or self._clock() - self._looked_at >= FRESH_S:
                await self._look()
                self._looked_at = self._clock()
        return not self.down and not self._slow

    async def watch(self) -> None:
        """Look from time to time, until cancelled, so that an outage and its end are noticed without a call."""
        while True:
            await self.usable()
            for _ in range(round(UP_PAUSE_S / DOWN_PAUSE_S)):
                await anyio.sleep(DOWN_PAUSE_S)
                if self.down:
                    break

    def failed(self, error: Exception) -> None:
        """Take note that the store cannot be used. May be called in any thread."""
        if self.down:
            self._left_out += 1
            return
        self.down, self.error, self._since, self._left_out = True, str(error)[:500], self._clock(), 0
        log.error("the store cannot be used, so no call is made until it is back: %s", self.error)

    def worked(self) -> None:
        """Take note that the store can be used."""
        if self.down:
            seconds = self._clock() - self._since
            self.down, self.error = False, ""
            log.warning(
                "the store can be used again after %.0f s; %d more messages about it were left out",
                seconds,
                self._left_out,
            )

    async def _look(self) -> None:
        # A durable transaction that changes nothing: it also fails if the disk is full, or the ledger was cut.
        self._slow = True
        with anyio.move_on_after(PROBE_S):
            try:
                await self._store.write(lambda tx: tx.execute("SELECT 1"))
            except StoreError as error:
                self.failed(error)
            else:
                self.worked()
            self._slow = False


class WatchedStore:
    """A store whose failures its health hears of."""

    def __init__(self, store: Store, health: StoreHealth) -> None:
        self._store = store
        self._health = health

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """See `Store.write`."""
        try:
            return await self._store.write(work, durable=durable)
        except StoreDown as error:
            self._health.failed(error)
            raise

    async def read(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read`."""
        try:
            return await self._store.read(work)
        except StoreDown as error:
            self._health.failed(error)
            raise

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read_now`."""
        return self._store.read_now(work)

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()


class OneLinePerOutage(logging.Filter):
    """Leaves out records about a store that is down, once its health has told it."""

    def __init__(self, health: StoreHealth) -> None:
        super().__init__()
        self._health = health

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about one record: those that name such an error go to the health of the store."""
        error = _store_error(record)
        if error is None:
            return True
        self._health.failed(error)
        return False


def _store_error(record: logging.LogRecord) -> StoreDown | None:
    arguments = record.args if isinstance(record.args, tuple) else ()
    raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    found = (value for value in (*arguments, raised, getattr(raised, "__cause__", None)) if value is not None)
    return next((value for value in found if isinstance(value, StoreDown)), None)
