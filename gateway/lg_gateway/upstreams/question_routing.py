"""Which call a live question of a handshake-era server belongs to.

Over HTTP the SDK hands on the context of the call that the question came with. Over stdio nothing ties a question to a
call: it is taken for the call's that is in flight alone. With two in flight, or after one that was given up and may
still be running, it cannot be known, and the question is refused. A server that has asked once has its calls made one
at a time from then on, so that this does not happen twice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio
import mcp_types as t

from lg_policy.errors import Conflict

log = logging.getLogger(__name__)

OnQuestion = Callable[[t.ElicitRequest], Awaitable[t.ElicitResult]]
_current: ContextVar[InFlightCall | None] = ContextVar("flight", default=None)


@dataclass(eq=False)
class InFlightCall:
    """One call in flight. `notes` are for its caller: what was refused on the way."""

    on_question: OnQuestion
    scope: anyio.CancelScope
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the call's clock: the time that a human takes is not the server's."""
        began, left = anyio.current_time(), self.scope.deadline
        self.scope.deadline = float("inf")
        try:
            yield
        finally:
            self.scope.deadline = left + (anyio.current_time() - began)


class InFlightCalls:
    """The calls in flight on one connection. `tied`: its questions say which call they belong to (HTTP)."""

    def __init__(self, server: str, *, tied: bool, one_at_a_time: bool) -> None:
        self._server = server
        self._tied = tied
        self._serial = one_at_a_time
        self._turn = anyio.Lock()
        self._flights: list[InFlightCall] = []
        self._abandoned = False
        self._told = False
        self.stale = False
        """A question was refused that only a new connection lets ask again."""

    @asynccontextmanager
    async def flight(self, on_question: OnQuestion, timeout_s: float) -> AsyncIterator[InFlightCall]:
        """Be in flight for the length of the block, which is cancelled after `timeout_s` without questions."""
        turn = self._serial
        if turn:
            await self._take_turn(timeout_s)
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + timeout_s) as scope:
                flight = InFlightCall(on_question, scope)
                self._flights.append(flight)
                mark = _current.set(flight)
                try:
                    yield flight
                except anyio.get_cancelled_exc_class():
                    self._abandoned = True
                    raise
                finally:
                    _current.reset(mark)
                    self._flights.remove(flight)
        finally:
            if turn:
                self._turn.release()

    async def ask(self, request: t.ElicitRequest) -> t.ElicitResult:
        """Put a question to the caller whose call asks it, or cancel it where that cannot be known."""
        flight = self._asker()
        if flight is None:
            self.stale = self.stale or self._abandoned
            why = f"server {self._server} asked a question and which call asked it cannot be told, so it was cancelled"
            if not self._told:
                log.warning("%s; its calls are made one at a time from now on", why)
            self._told = True
            note = f"{why}. Repeat the call: it is then made alone"
            for one in self._flights:
                one.notes += [note] if note not in one.notes else []
            answer = t.ElicitResult(action="cancel")
        else:
            with flight.paused():
                answer = await flight.on_question(request)
        self._serial = self._serial or not self._tied
        return answer

    async def _take_turn(self, timeout_s: float) -> None:
        with anyio.move_on_after(timeout_s):
            await self._turn.acquire()
            return
        raise Conflict(
            f"server {self._server} is busy with a call that waits for a human; its calls are made one at a time",
            hint="try again later",
        )

    def idle(self) -> bool:
        """Whether no call is in flight."""
        return not self._flights

    def _asker(self) -> InFlightCall | None:
        flight = _current.get()
        if self._tied and flight is not None and flight in self._flights:
            return flight
        if len(self._flights) == 1 and (self._tied or not self._abandoned):
            return self._flights[0]
        return None


async def cancelled(_request: t.ElicitRequest) -> t.ElicitResult:
    """Answer for a call that nobody can be asked about."""
    return t.ElicitResult(action="cancel")
