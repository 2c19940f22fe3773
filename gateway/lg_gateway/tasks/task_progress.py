"""Takes one task one step further: tells its server what is to be told, asks how it stands, and ends its call."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.exchange import stored
from lg_gateway.calls.results import GATEWAY, REFUSED, SERVER_ERROR, masks
from lg_gateway.catalog.addresses import Addresses
from lg_gateway.catalog.entry import Entry
from lg_gateway.elicitation.refusals import NotPassedOn, Refused
from lg_gateway.elicitation.server_question import Asking, read_question
from lg_gateway.elicitation.waiting_calls import Outcome
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import Store, Tx
from lg_gateway.tasks.kept_calls import call_again
from lg_gateway.tasks.task_table import Change, KeptTask
from lg_gateway.upstreams.client_side.caller_capabilities import current_capabilities
from lg_gateway.upstreams.offers.server_tasks import (
    DECLARED,
    ServerTask,
    TaskStatus,
    answer_task,
    cancel_task,
    task_now,
)
from lg_gateway.upstreams.replies import RelayedResult
from lg_gateway.upstreams.upstream import Upstream
from lg_policy.errors import OutcomeUnknown, UpstreamUnavailable
from lg_policy.secrets.masking import Masker

log = logging.getLogger(__name__)

ASK_S = 30.0
"""How long a server may take to say how a task stands."""
KEPT_S = 300.0
"""How long the result of a task is kept at least."""
CANCEL_S = 5.0
_REQUEST: TypeAdapter[Any] = TypeAdapter(t.InputRequest)
_LATER = (t.CONNECTION_CLOSED, t.REQUEST_TIMEOUT)
Also = Callable[[Tx, t.CallToolResult | None], None]
ChangeIn = Callable[[Tx, KeptTask, Change], KeptTask]


class Conclude(Protocol):
    """Ends the record of a call, and returns its result as the client gets it."""

    async def __call__(self, context: CallContext, outcome: Outcome | None, also: Also) -> t.CallToolResult | None:
        """`None` is the outcome of a call that was cancelled. `also` writes along with the record."""
        ...


class Progressing:
    """One step of a task. `conclude` is set once there is a pipeline.

    `upstream_of` returns the connection for a server and an identity: a task belongs to the login that began it.
    """

    def __init__(
        self,
        upstream_of: Callable[[str, str], Upstream | None],
        masker: Masker,
        mask_results: Callable[[], str],
        note: Callable[[str, str, str], Awaitable[object]],
        store: Store,
        addresses: Callable[[], Addresses],
    ) -> None:
        self.write = store.write
        self.addresses = addresses
        self._upstream_of = upstream_of
        self.masker = masker
        self.mask_results = mask_results
        self._note = note
        self.conclude: Conclude | None = None

    def masked(self, entry: Entry, text: str) -> str:
        """Return what a server says about a task as clients get it."""
        return self.masker.mask(text) if text and masks(self.mask_results(), entry) else text

    def knows_server(self, task: KeptTask) -> bool:
        """Whether the task's server is one of this gateway's."""
        upstream = self._upstream_of(task.server, task.identity)
        return upstream is not None and digest([upstream.spec.place()]) == task.place

    async def note_answers(self, task: KeptTask, answers: Mapping[str, Any]) -> None:
        """Note in the ledger whether questions of a task were accepted, without what is in the answers."""
        said = ", ".join(str(answer.get("action", "answered")) for answer in answers.values())
        detail = f"{task.server} asked during {task.call['entry']} ({task.request_id}): {said}"
        await self._note("server question", detail, task.identity)

    async def one_step(self, task: KeptTask, now: float, change_in: ChangeIn) -> KeptTask:
        """Return the task as it stands then. A server that cannot be asked now is asked again later."""
        upstream = self._upstream_of(task.server, task.identity)
        served = upstream is not None and digest([upstream.spec.place()]) == task.place
        spec = upstream.spec if upstream is not None and served else _gone(task.server)
        age = max(0.0, now - task.created)
        context = call_again(task.call, spec, identity=task.identity, request_id=task.request_id, age_s=age)
        step = _Step(self, task, context, now, change_in)
        if upstream is None or not served:
            return await step.unknown(f"server {task.server} is not served any more")
        try:
            with anyio.fail_after(ASK_S):
                client, incarnation = await upstream.session()
        except (UpstreamUnavailable, TimeoutError):
            return await step.later()
        if incarnation != task.incarnation:
            return await step.unknown(f"server {task.server} has ended, and its tasks with it")
        token = current_capabilities.set(DECLARED)
        try:
            return await step.asked(client, upstream)
        finally:
            current_capabilities.reset(token)


class _Step:
    """One task, and what its server says about it now."""

    def __init__(
        self, progressing: Progressing, task: KeptTask, context: CallContext, now: float, change_in: ChangeIn
    ) -> None:
        self._progressing = progressing
        self._task = task
        self._context = context
        self._now = now
        self._change_in = change_in

    async def asked(self, client: Client, upstream: Upstream) -> KeptTask:
        """Tell the server what is to be told, and take over what it says."""
        try:
            await self._tell(client)
            said = await task_now(client, self._task.theirs, ASK_S)
        except MCPError as error:
            if error.code == t.INVALID_PARAMS:
                return await self.unknown(f"server {self._task.server} does not know the task any more")
            log.debug("task %s: %s", self._task.id, error)
            return await self.later(client)
        except (RuntimeError, ValidationError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            log.debug("task %s: %r", self._task.id, error)
            return await self.later(client)
        return await self._taken(said, client, upstream)

    async def later(self, client: Client | None = None) -> KeptTask:
        """Return the task to be asked about again, or end it if its time is over."""
        if self._now < self._task.expires:
            return self._task
        if client is not None:
            with suppress(MCPError, RuntimeError, ValidationError):
                await cancel_task(client, self._task.theirs, CANCEL_S)
        return await self.unknown("the task did not end within its time")

    async def unknown(self, why: str) -> KeptTask:
        """End a task of which nobody knows what it did."""
        return await self._ended(OutcomeUnknown(why, hint="check whether it took effect before you call again"))

    async def _tell(self, client: Client) -> None:
        task = self._task
        try:
            if task.cancel:
                await cancel_task(client, task.theirs, CANCEL_S)
            if task.answers:
                await answer_task(client, task.theirs, task.answers, ASK_S)
        except MCPError as error:
            if error.code in _LATER:
                raise
            log.info("server %s did not take what it was told of a task: %s", task.server, error)
        if task.cancel or task.answers:
            told = task.answers

            def done(now: KeptTask) -> KeptTask:
                left = {key: answer for key, answer in now.answers.items() if key not in told}
                return replace(now, answers=left, cancel=False)

            self._task = await self._progressing.write(lambda tx: self._change_in(tx, task, done))

    async def _taken(self, said: ServerTask, client: Client, upstream: Upstream) -> KeptTask:
        if said.status is TaskStatus.COMPLETED:
            result = said.result if said.result is not None else RelayedResult(content=[])
            return await self._ended(await upstream.checked(self._context.entry.tool, result))
        if said.status is TaskStatus.FAILED:
            error = said.error or t.ErrorData(code=t.INTERNAL_ERROR, message=said.message or "the task failed")
            return await self._ended(MCPError.from_error_data(error))
        if said.status is TaskStatus.CANCELLED:
            return await self._ended(None)
        if self._now >= self._task.expires:
            return await self.later(client)
        try:
            questions, refused = self._read(said)
        except NotPassedOn as error:  # nothing says no to such a request but the end of the task
            with suppress(MCPError, RuntimeError, ValidationError):
                await cancel_task(client, self._task.theirs, CANCEL_S)
            return await self._ended(error)
        return await self._goes_on(said, questions, refused)

    async def _goes_on(
        self, said: ServerTask, questions: dict[str, dict[str, Any]], refused: Mapping[str, Any]
    ) -> KeptTask:
        message = self._progressing.masked(self._context.entry, said.message)
        status = TaskStatus.INPUT_REQUIRED if questions else TaskStatus.WORKING
        task = self._task
        known = (task.status, task.message, task.poll_ms, task.questions)
        if known == (status, message, said.poll_ms, questions) and not refused:
            return task

        def news(now: KeptTask) -> KeptTask:
            still = {key: question for key, question in questions.items() if question["theirs"] not in now.answered}
            return replace(
                now,
                status=str(status),
                message=message,
                poll_ms=said.poll_ms,
                questions=still,
                answers={**now.answers, **refused},
                answered=(*now.answered, *refused),
                updated=self._now,
            )

        return await self._progressing.write(lambda tx: self._change_in(tx, task, news))

    def _read(self, said: ServerTask) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Return the open questions as they are kept, and the answers to those that no human gets to see."""
        context, kept = self._context, self._task.call
        hides = masks(self._progressing.mask_results(), context.entry)
        asking = Asking(
            entry=context.entry,
            binding=f"{kept['binding']} {self._task.id}",
            abilities=context.call.answers,
            mask=self._progressing.masker.mask if hides else None,
            public=partial(self._progressing.addresses().public, self._task.server),
        )
        questions: dict[str, dict[str, Any]] = {}
        refused: dict[str, Any] = {}
        for theirs, raw in said.questions.items():
            if theirs in self._task.answered:
                continue
            try:
                question = read_question(asking, theirs, _request(raw, self._task.server))
                questions[question.key] = stored(question)
            except Refused as why:
                log.warning("server %s asked a question that was not passed on: %s", self._task.server, why)
                refused[theirs] = {"action": "decline"}
        return questions, refused

    async def _ended(self, outcome: Outcome | None) -> KeptTask:
        """End the call's record and the task in one transaction."""
        task, ended = self._task, [self._task]

        def also(tx: Tx, result: t.CallToolResult | None) -> None:
            ended[0] = self._change_in(tx, task, lambda now: self._closed(now, outcome, result))

        conclude = self._progressing.conclude
        if conclude is None:
            raise RuntimeError("no pipeline ends the calls of tasks")
        with anyio.CancelScope(shield=True):
            await conclude(self._context, outcome, also)
        return ended[0]

    def _closed(self, now: KeptTask, outcome: Outcome | None, result: t.CallToolResult | None) -> KeptTask:
        closed = replace(
            now,
            open=False,
            questions={},
            answers={},
            message="",
            updated=self._now,
            expires=max(now.expires, self._now + KEPT_S),
        )
        if outcome is None:
            return replace(closed, status=str(TaskStatus.CANCELLED))
        if result is not None and not isinstance(outcome, Exception):
            shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
            return replace(closed, status=str(TaskStatus.COMPLETED), result=shown)
        return replace(closed, status=str(TaskStatus.FAILED), error=error_of(result))


def error_of(result: t.CallToolResult | None) -> dict[str, Any]:
    """Return a refusal as the JSON-RPC error of a failed task: the server's own code and data where it has one."""
    meta, structured = (result.meta or {}, result.structured_content) if result is not None else ({}, None)
    theirs = meta.get(SERVER_ERROR)
    if isinstance(theirs, dict):
        shown = {"code": theirs["code"], "message": str(theirs["message"]), "data": theirs.get("data")}
        return {key: value for key, value in shown.items() if value is not None}
    said = structured.get("error") if isinstance(structured, dict) else None
    text = "\n".join(block.text for block in result.content if isinstance(block, t.TextContent)) if result else ""
    return {"code": REFUSED, "message": text or "the task failed"} | (
        {"data": {"error": said, GATEWAY: True}} if said else {}
    )


def _gone(server: str) -> ServerSpec:
    """Return a server that the settings do not name any more."""
    return ServerSpec(
        name=server,
        builtin=None,
        trusted=False,
        mode="auto",
        launch=None,
        url=None,
        headers={},
        connect_timeout_s=0.0,
        call_timeout_s=0.0,
    )


def _request(raw: object, server: str) -> t.InputRequest:
    try:
        request: t.InputRequest = _REQUEST.validate_python(raw, by_name=False)
    except ValidationError:
        raise NotPassedOn(f"server {server} asked for something that is not passed on") from None
    return request
