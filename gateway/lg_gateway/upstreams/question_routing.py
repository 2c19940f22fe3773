"""Which call a live question of a handshake-era server belongs to.

Over HTTP a question comes on the stream of its call. Over stdio nothing says which call asks: a question is taken for
the only call in flight. With two in flight, or while a call that was given up may still be running, nobody can know,
and the question is cancelled. After its first question a server's calls are made one at a time, so that this does not
happen twice. The doubt about a call that was given up ends when its late answer comes.
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
_current: ContextVar[InFlightCall | None] = ContextVar("call in flight", default=None)


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
    """The calls in flight on one connection.

    `questions_name_their_call`: the transport says which call asks (HTTP). `in_doubt` says whether a call was given up
    that the server may still be at work on.
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
        """Whether questions are refused for as long as this connection lasts."""
        return self._refused_in_doubt and self._in_doubt()

    @asynccontextmanager
    async def flight(self, on_question: OnQuestion, timeout_s: float) -> AsyncIterator[InFlightCall]:
        """Be in flight for the length of the block, which is cancelled after `timeout_s` without questions."""
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

    async def ask(self, request: t.ElicitRequest) -> t.ElicitResult:
        """Put a question to the caller whose call asks it, or cancel it where nobody can know whose that is."""
        call = self._asker()
        self._one_at_a_time = self._one_at_a_time or not self._questions_name_their_call
        if call is not None:
            with call.paused():
                return await call.on_question(request)
        self._refused_in_doubt = self._refused_in_doubt or self._in_doubt()
        why = f"server {self._server} asked a question without saying for which call, so it was cancelled"
        if not self._warned:
            log.warning("%s; its calls are made one at a time from now on", why)
        self._warned = True
        note = f"{why}. Repeat the call: it is then made alone"
        for call in self._calls:
            if note not in call.notes:
                call.notes.append(note)
        return t.ElicitResult(action="cancel")

    async def _take_turn(self, timeout_s: float) -> None:
        with anyio.move_on_after(timeout_s):
            await self._turn.acquire()
            return
        raise Conflict(
            f"server {self._server} is busy with a call that waits for a human; its calls are made one at a time",
            hint="try again later",
        )

    def _asker(self) -> InFlightCall | None:
        call = _current.get()
        if self._questions_name_their_call and call is not None and call in self._calls:
            return call
        if len(self._calls) == 1 and (self._questions_name_their_call or not self._in_doubt()):
            return self._calls[0]
        return None


async def answer_cancel(_request: t.ElicitRequest) -> t.ElicitResult:
    """Answer the question of a call whose caller cannot be asked."""
    return t.ElicitResult(action="cancel")
