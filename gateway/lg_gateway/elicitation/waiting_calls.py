"""Holds a call of a 2025 server that waits in this process for an answer that comes with a later request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.upstreams.question_routing import OnQuestion, cancelled
from lg_gateway.upstreams.replies import Answer
from lg_policy.errors import LgError

Outcome = Answer | LgError | MCPError
QUEUED = 20
"""Questions of one call that wait for their turn; more are cancelled."""
Send = Callable[[OnQuestion], Awaitable[Answer]]


class WaitingCall:
    """Runs in a task of its own while requests come and go. `next` returns its news, `deliver` answers its question.

    A question without an answer for `patience_s` is cancelled. `left` gets an outcome that its caller did not fetch.
    """

    def __init__(self, send: Send, *, patience_s: float, left: Callable[[Outcome], Awaitable[None]]) -> None:
        self._send = send
        self._patience_s = patience_s
        self._left = left
        self._scope = anyio.CancelScope()
        self._turn = anyio.Lock()
        self._news = anyio.Event()
        self._answered = anyio.Event()
        self._taken = anyio.Event()
        self._question: t.InputRequest | None = None
        self._answer: t.InputResponse | t.ErrorData | None = None
        self._outcome: Outcome | None = None
        self._queued = 0

    async def run(self) -> None:
        """Make the call and keep its outcome for `patience_s`."""
        with self._scope:
            try:
                self._outcome = await self._send(self._ask)
            except (LgError, MCPError) as error:
                self._outcome = error
            self._news.set()
            with anyio.move_on_after(self._patience_s):
                await self._taken.wait()
                return
            await self._left(self._outcome)

    async def next(self) -> Answer | t.InputRequest:
        """Wait for the outcome or the next question. Raises what the call raised. Cancelled, it cancels the call."""
        try:
            await self._news.wait()
        except anyio.get_cancelled_exc_class():
            self._scope.cancel()
            raise
        self._news = anyio.Event()
        if self._outcome is None and self._question is not None:
            return self._question
        self._taken.set()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        if self._outcome is None:
            raise RuntimeError("a waiting call had news without a question or an outcome")
        return self._outcome

    def deliver(self, answer: t.InputResponse | t.ErrorData) -> None:
        """Answer the open question. Does nothing if the question was cancelled meanwhile."""
        self._answer = answer
        self._answered.set()

    def give_up(self) -> None:
        """Cancel the call."""
        self._scope.cancel()

    async def _ask(self, request: t.InputRequest) -> t.InputResponse | t.ErrorData:
        if self._outcome is not None or self._queued >= QUEUED:
            return cancelled(request, "too many questions at once, or the call is over")
        self._queued += 1
        try:
            return await self._in_turn(request)
        finally:
            self._queued -= 1

    async def _in_turn(self, request: t.InputRequest) -> t.InputResponse | t.ErrorData:
        async with self._turn:
            self._question, self._answer, self._answered = request, None, anyio.Event()
            self._news.set()
            with anyio.move_on_after(self._patience_s):
                await self._answered.wait()
            self._question = None
            given: t.InputResponse | t.ErrorData | None = self._answer
            return given if given is not None else cancelled(request, "no answer came in time")
