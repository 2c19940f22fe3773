"""Stops calls while a human has halted the gateway: new ones are refused, and running ones cut off if that was asked.

A halt is a record in the ledger, so it holds for every process on the store and survives all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType

import anyio

from lg_gateway.ledger.halt import Halt, HaltSwitch
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Store, StoreEdited, StoreError, Tx
from lg_policy.errors import Halted, Internal

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Between two looks at the store of a process whose callers are idle, or whose calls run."""


class _Running:
    """A call that runs, among the others. A class: every call pays for this, and a scope of anyio costs far more."""

    def __init__(self, others: set[_Running], cut_off: Callable[[], Halted]) -> None:
        self._others = others
        self._cut_off = cut_off
        self._task: asyncio.Task[object] | None = None
        self._is_cut_off = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._others.add(self)

    def end(self) -> None:
        """Cut the call off."""
        if self._task is not None and not self._is_cut_off:
            self._is_cut_off = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._others.discard(self)
        if not self._is_cut_off or self._task is None:
            return
        gone_too = self._task.uncancel() > 0  # its client has cancelled it, or the gateway ends
        if not gone_too and isinstance(error, asyncio.CancelledError):
            raise self._cut_off()


class HaltStep:
    """Halts as a step of the pipeline."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._switch = HaltSwitch(ledger)
        self._running: set[_Running] = set()

    @property
    def current(self) -> Halt | None:
        """Return the halt that this process knows of."""
        return self._switch.current

    async def refuse(self) -> None:
        """Raise `Halted` for a new call. Looks into the store only where a halt is known, which may have ended."""
        if self._switch.current is not None:
            await self.look_and_refuse()

    async def look_and_refuse(self) -> None:
        """Raise `Halted` where the store says so now, for what goes on without a transaction of its own.

        Raises `Internal` where the store cannot say it.
        """
        try:
            halt = await self._read()
        except StoreError as error:
            why = str(error) if isinstance(error, StoreEdited) else "the ledger cannot be read"
            raise Internal(
                f"the call was not made, because {why}",
                hint="the gateway's log says why, and so does `lg-gateway audit verify`",
            ) from error
        if halt is not None:
            raise halt.error()

    def check(self, tx: Tx) -> None:
        """Raise `Halted` in the transaction that begins a call: no halt was written before it."""
        self._switch.check(tx)

    def running(self, *, nothing_done: bool = False) -> _Running:
        """Return a context manager for a call that runs. It raises `Halted` where a halt has cut the call off.

        `nothing_done`: the call only shows what another one would do.
        """
        return _Running(self._running, self._cut_off if not nothing_done else self._not_shown)

    def _not_shown(self) -> Halted:
        why = self._switch.current
        return Halted(
            f"all calls are stopped {why.text if why else ''}",
            hint="nothing was done; a person continues with `lg-gateway continue`",
        )

    def _cut_off(self) -> Halted:
        why = self._switch.current
        return Halted(
            f"the call was cut off {why.text if why else ''}; it may have taken effect",
            hint="check whether it did before repeating it",
        )

    async def watch(self) -> None:
        """Look for halts until cancelled, and cut off what runs when one says so."""
        known: Halt | None = None
        while True:
            try:
                halt = await self._read()
            except StoreError as error:
                log.debug("cannot look for a halt: %s", error)
                halt = known
            if halt != known:
                known = halt
                self._tell(halt)
            await anyio.sleep(POLL_S)

    async def _read(self) -> Halt | None:
        return await self._store.read(self._switch.read)

    def _tell(self, halt: Halt | None) -> None:
        if halt is None:
            log.warning("calls are made again")
            return
        log.warning("all calls are stopped %s; `lg-gateway continue` lets them begin again", halt.text)
        if halt.now:
            for call in tuple(self._running):
                call.end()
