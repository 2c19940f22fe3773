"""Sends a call so that its server may make a task of it, where the caller takes tasks; else waits for the task itself.

A 2026 client says with each call whether it takes tasks. One that does not, though it could, gets the server's refusal,
which names what it would have to say. A 2025 client cannot say so: the gateway waits for the task in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Any, Protocol

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from lg_gateway.calls.call import CallContext, TaskUse
from lg_gateway.calls.exchange import Given
from lg_gateway.catalog.catalog import CatalogEntry
from lg_gateway.upstreams.client_side.caller_capabilities import current_capabilities
from lg_gateway.upstreams.offers.server_tasks import (
    DECLARED,
    ServerTask,
    TaskStatus,
    answer_task,
    cancel_task,
    poll_pause_s,
    read_task,
    task_now,
    wants_tasks,
)
from lg_gateway.upstreams.replies import Answer, RelayedResult
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.errors import CallTimeout, Internal, LimitExceeded, OutcomeUnknown, StillRunning
from lg_policy.rules.rule_set import Kind

log = logging.getLogger(__name__)

ASK_S = 30.0
CANCEL_S = 5.0
_REQUEST: TypeAdapter[Any] = TypeAdapter(t.InputRequest)
Carry = Callable[[UpstreamCall], Awaitable[Answer]]
Ask = Callable[[str, t.InputRequest], Awaitable[Given]]
"""Puts a question of a server to the client whose call waits."""


class TaskKeeping(Protocol):
    """Keeps the tasks of callers that take them."""

    def room(self, identity: str) -> AbstractAsyncContextManager[bool]:
        """Yield whether a caller may have one more task."""
        ...

    def too_many(self) -> LimitExceeded:
        """Return why a call is not made whose server takes it only as a task."""
        ...

    async def opened(self, context: CallContext, answer: RelayedResult) -> RelayedResult:
        """Keep the task that a call became, and return what its caller gets."""
        ...

    async def of_call(self, identity: str, request_id: str) -> RelayedResult | None:
        """Return the task of an earlier call that still runs."""
        ...


def is_task(answer: Answer) -> bool:
    """Whether an answer stands for a task."""
    return isinstance(answer, RelayedResult) and answer.task is not None


class TaskStep:
    """Sends calls to servers that have tasks. `keeper` is set before the gateway runs."""

    keeper: TaskKeeping | None = None

    async def send(
        self, context: CallContext, upstream: Upstream, call: UpstreamCall, carry: Carry, ask: Ask
    ) -> Answer:
        """Send a call, and return its result, its question, or the task that it became."""
        keeper = self.keeper
        if keeper is None or context.entry.kind is not Kind.TOOL or not upstream.has_tasks:
            return await carry(call)
        if context.call.tasks is TaskUse.HANDLES:
            async with keeper.room(context.call.identity) as free:
                answer = await _with_handle(context, upstream, call, carry, keeper if not free else None)
                if free and isinstance(answer, RelayedResult) and answer.task is not None:
                    return await keeper.opened(context, answer)
        else:
            answer = await _without_handle(context, upstream, call, carry)
        if isinstance(answer, RelayedResult) and answer.task is not None:
            return await _Waiting(context, upstream, call, ask).result(answer)
        return answer

    async def still_running(self, context: CallContext, request_id: str) -> RelayedResult | None:
        """Return the task that an earlier call became and that runs. Raises `StillRunning` for who takes no tasks."""
        task = await self.keeper.of_call(context.call.identity, request_id) if self.keeper is not None else None
        if task is not None and context.call.tasks is not TaskUse.HANDLES:
            raise StillRunning("this call is still running", hint="wait, then repeat the call to get its outcome")
        return task


async def _with_handle(
    context: CallContext, upstream: Upstream, call: UpstreamCall, carry: Carry, full: TaskKeeping | None
) -> Answer:
    """Send the call of a client that takes tasks; `full` is set if it has too many of them already."""
    may = not upstream.asks_live or _support(context) != "forbidden"
    try:
        return await carry(replace(call, as_task=full is None and may))
    except MCPError as error:
        if full is None or not wants_tasks(error.error):
            raise
        raise full.too_many() from error


async def _without_handle(context: CallContext, upstream: Upstream, call: UpstreamCall, carry: Carry) -> Answer:
    """Send the call of a client that takes no tasks."""
    try:
        return await carry(replace(call, as_task=upstream.asks_live and _support(context) == "required"))
    except MCPError as error:
        if context.call.tasks is TaskUse.REFUSED or not wants_tasks(error.error):
            raise
    return await carry(replace(call, as_task=True))  # the server has done nothing with it


def _support(context: CallContext) -> str:
    """Return what a tool of 2025 says of tasks."""
    execution = context.entry.source.execution if isinstance(context.entry, CatalogEntry) else None
    return (execution.task_support if execution is not None else None) or "forbidden"


class _Waiting:
    """A task that the gateway waits for in place of a client that does not take tasks."""

    def __init__(self, context: CallContext, upstream: Upstream, call: UpstreamCall, ask: Ask) -> None:
        self._context = context
        self._upstream = upstream
        self._call = call
        self._ask = ask
        self._answered: set[str] = set()
        self._steps = 0

    async def result(self, answer: RelayedResult) -> Answer:
        """Return the result of the task. Raises what a call raises."""
        task, server = read_task(answer.task or {}), self._upstream.name
        token = current_capabilities.set(DECLARED)
        try:
            with anyio.move_on_after(self._call.timeout_s):
                return await self._end(task, answer.incarnation)
            await self._give_up(task.id)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._give_up(task.id)
            raise
        finally:
            current_capabilities.reset(token)
        raise CallTimeout(
            f"server {server} did not end its task within {self._call.timeout_s:g} s",
            hint="it was told to stop; check what it did before you call again",
        )

    async def _end(self, task: ServerTask, incarnation: str) -> Answer:
        while True:
            if task.status is TaskStatus.COMPLETED and task.result is not None:
                return await self._upstream.checked(self._call.tool, task.result)
            if task.status is TaskStatus.FAILED and task.error is not None:
                raise MCPError.from_error_data(task.error)
            if task.status is TaskStatus.CANCELLED:
                raise Internal(f"server {self._upstream.name} cancelled the call")
            await self._report(task.message)
            await self._answer(task)
            if not task.ended:
                await anyio.sleep(poll_pause_s(task.poll_ms))
            task = await self._now(task, incarnation)

    async def _now(self, task: ServerTask, incarnation: str) -> ServerTask:
        client, current = await self._upstream.session()
        if current != incarnation:
            raise OutcomeUnknown(
                f"server {self._upstream.name} has ended, and its task with it",
                hint="check whether it took effect before you call again",
            )
        try:
            return await task_now(client, task.id, ASK_S)
        except MCPError as error:
            if error.code in (t.CONNECTION_CLOSED, t.REQUEST_TIMEOUT):
                return replace(task, status=TaskStatus.WORKING, questions={})
            if error.code == t.INVALID_PARAMS:
                raise OutcomeUnknown(
                    f"server {self._upstream.name} does not know its task any more",
                    hint="check whether it took effect before you call again",
                ) from error
            raise

    async def _report(self, message: str) -> None:
        self._steps += 1
        if self._call.progress is not None:
            await self._call.progress(self._steps, None, message or None)

    async def _answer(self, task: ServerTask) -> None:
        asked: Mapping[str, Any] = {key: raw for key, raw in task.questions.items() if key not in self._answered}
        answers: dict[str, Any] = {}
        for theirs, raw in asked.items():
            self._answered.add(theirs)
            try:
                request: t.InputRequest = _REQUEST.validate_python(raw, by_name=False)
            except ValidationError:
                raise Internal(f"server {self._upstream.name} asked for something that is not passed on") from None
            given = await self._ask(theirs, request)
            if isinstance(given, t.ErrorData):
                raise Internal(f"the client did not answer what server {self._upstream.name} asked: {given.message}")
            answers[theirs] = given.model_dump(mode="json", by_alias=True, exclude_none=True)
        if answers:
            client, _ = await self._upstream.session()
            await answer_task(client, task.id, answers, ASK_S)

    async def _give_up(self, task_id: str) -> None:
        with anyio.move_on_after(CANCEL_S), suppress(MCPError, RuntimeError, ValidationError):
            client, _ = await self._upstream.session()
            await cancel_task(client, task_id, CANCEL_S)
