"""Finds the call that a question of a 2025 server belongs to.

Over HTTP a question arrives on the stream of its call. Over stdio nothing says which call asks, so the question is
given to the only call in flight. If two are in flight, or if a call that was given up may still be running, the call is
not known, and the question is cancelled. After its first question, a server gets its calls one at a time, so this does
not happen twice. A call that was given up no longer counts once its late answer arrives.
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

OnQuestion = Callable[[t.InputRequest], Awaitable[t.InputResponse | t.ErrorData]]
_current: ContextVar[InFlightCall | None] = ContextVar("call in flight", default=None)


@dataclass(eq=False)
class InFlightCall:
    """One call in flight. `notes` tell its caller what was refused during the call."""

    on_question: OnQuestion
    scope: anyio.CancelScope
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the call's clock while a human answers."""
        began, left = anyio.current_time(), self.scope.deadline
        self.scope.deadline = float("inf")
        try:
            yield
        finally:
            self.scope.deadline = left + (anyio.current_time() - began)


class InFlightCalls:
    """The calls in flight on one connection.

    `questions_name_their_call`: the transport says which call asks (HTTP). `in_doubt` returns whether the server may
    still be working on a call that was given up.
    """

    def __init__(
        self, server: str, *, questions_name_their_call: bool, one_at_a_time: bool, in_doubt: Callable[[], bool]
    ) -> None:
        self._server = server
        self._questions_name_their_call = questions_name_their_call
        self._one_at_a_time = one_at_a_time
        self._in_doubt = in_doubt
        self._turn = anyio.Lock()
        self._calls: list[InFlightCall] = []
        self._warned = False
        self._refused_in_doubt = False

    @property
    def needs_new_connection(self) -> bool:
        """Return whether questions can only be answered again over a new connection."""
        return self._refused_in_doubt and self._in_doubt()

    @asynccontextmanager
    async def flight(self, on_question: OnQuestion, timeout_s: float) -> AsyncIterator[InFlightCall]:
        """Count as in flight for the length of the block. It is cancelled after `timeout_s`, not counting questions."""
        takes_turn = self._one_at_a_time
        if takes_turn:
            await self._take_turn(timeout_s)
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + timeout_s) as scope:
                call = InFlightCall(on_question, scope)
                self._calls.append(call)
                mark = _current.set(call)
                try:
                    yield call
                finally:
                    _current.reset(mark)
                    self._calls.remove(call)
        finally:
            if takes_turn:
                self._turn.release()

    async def ask(self, request: t.InputRequest) -> t.InputResponse | t.ErrorData:
        """Ask the caller whose call the question belongs to; cancel the question if that call is not known."""
        call = self._asker()
        self._one_at_a_time = self._one_at_a_time or not self._questions_name_their_call
        if call is not None:
            with call.paused():
                return await call.on_question(request)
        self._refused_in_doubt = self._refused_in_doubt or self._in_doubt()
        why = f"server {self._server} asked a question and did not say for which call, so it was cancelled"
        if not self._warned:
            log.warning("%s; from now on it gets one call at a time", why)
        self._warned = True
        note = f"{why}. Repeat the call: the server then gets it alone"
        for call in self._calls:
            if note not in call.notes:
                call.notes.append(note)
        return cancelled(request, why)

    async def _take_turn(self, timeout_s: float) -> None:
        with anyio.move_on_after(timeout_s):
            await self._turn.acquire()
            return
        raise Conflict(
            f"server {self._server} is busy with a call that waits for a human, and it gets one call at a time",
            hint="try again later",
        )

    def _asker(self) -> InFlightCall | None:
        call = _current.get()
        if self._questions_name_their_call and call is not None and call in self._calls:
            return call
        if len(self._calls) == 1 and (self._questions_name_their_call or not self._in_doubt()):
            return self._calls[0]
        return None


def cancelled(request: t.InputRequest, why: str) -> t.InputResponse | t.ErrorData:
    """Return the answer to a question that nobody gets to see."""
    if isinstance(request, t.ElicitRequest):
        return t.ElicitResult(action="cancel")
    return t.ErrorData(code=t.INVALID_REQUEST, message=why)


async def answer_cancel(request: t.InputRequest) -> t.InputResponse | t.ErrorData:
    """Answer the question of a call whose caller cannot be asked."""
    return cancelled(request, "the caller cannot be asked")
