"""Sends a call, and passes questions of its server to the caller's human and the answers back.

Server and client may speak different eras of the protocol. A 2025 client is asked while its call waits. A 2026 client
gets the question as an answer and calls again; a 2026 server then continues from its own state; the call of a 2025
server waited in this process. If a caller cannot be asked, the question is cancelled, and the answer says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import anyio
import anyio.abc
import mcp_types as t
from pydantic import ValidationError

from lg_gateway.calls.call import CallContext
from lg_gateway.elicitation.pending_questions import PendingQuestions, PendingQuestionsTable, new_id, round_of
from lg_gateway.elicitation.server_question import Refused, ServerQuestion, read_question
from lg_gateway.elicitation.waiting_calls import Outcome, WaitingCall
from lg_gateway.processes.process_names import may_live, this_process
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_gateway.upstreams.replies import Answer, noted
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.config.durations import seconds
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import Conflict, Internal, InvalidArguments

log = logging.getLogger(__name__)

ROUNDS = 20
LOOK_S = 1.0
Left = Callable[[Outcome], Awaitable[None]]


@dataclass
class _Exchange:
    """One exchange of a call with its server. `notes` are for the caller, each once; `asked` counts live questions."""

    context: CallContext
    upstream: Upstream
    call: UpstreamCall
    left: Left
    notes: list[str] = field(default_factory=list)
    asked: int = 0

    def refused(self, why: object) -> t.ElicitResult:
        self.note(f"server {self.upstream.name} asked a question that was not passed on: {why}")
        return t.ElicitResult(action="decline")

    def note(self, text: str) -> None:
        if text not in self.notes:
            log.warning("%s", text)
            self.notes.append(text)


class SendingStep:
    """Sends a call and handles its server's questions."""

    def __init__(
        self,
        store: Store,
        book: PendingQuestionsTable,
        settings: Callable[[], ApprovalSettings],
        note: Callable[[str, str, str], Awaitable[object]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._book = book
        self._settings = settings
        self._note = note
        self._clock = clock
        self._waiting: dict[str, WaitingCall] = {}
        self._some_wait = True
        self._looked = 0.0
        self.tasks: anyio.abc.TaskGroup | None = None
        """Where calls run that outlive a request; set while the gateway runs."""

    async def join(self, context: CallContext) -> CallContext:
        """Find the open questions of this call. Raises `Conflict` for an answer to a question that is not open."""
        if context.call.asking != "rounds":
            return context
        named = round_of(context.call.request_state)
        if named is None and not self._some_wait and time.monotonic() - self._looked < LOOK_S:
            return context
        try:
            found = await self._store.read(lambda tx: self._find(tx, context))
        except StoreError as error:
            raise Internal("cannot read open questions; nothing was done") from error
        if found is not None and found.owner and found.id not in self._waiting:
            await self._not_here(found)
            found = None
        if named is not None and (found is None or named != (found.id, found.round)):
            raise Conflict("that question is no longer open", hint="check what the call did, then call again")
        if found is None:
            return context
        return replace(context, pending=found, request_id=found.request_id, approval_id=found.approval_id)

    def _find(self, tx: Tx, context: CallContext) -> PendingQuestions | None:
        """Look for the call's open questions, and whether there is any: mostly not, and that is remembered a while."""
        now = self._clock()
        self._looked, self._some_wait = time.monotonic(), self._book.any(tx, now)
        return self._book.find(tx, context.binding().digest(), now) if self._some_wait else None

    async def _not_here(self, found: PendingQuestions) -> None:
        if found.owner != this_process() and may_live(found.owner):
            raise Conflict(
                "this call waits in another gateway process",
                hint="answer there, or repeat the call later",
            )
        # Its process has ended and the call with it. What happens now depends on what is known of the call's effect.
        await self.close(found)

    async def close(self, pending: PendingQuestions) -> None:
        """Cancel open questions."""
        waiting = self._waiting.pop(pending.id, None)
        if waiting is not None:
            waiting.deliver(t.ElicitResult(action="cancel"))
        await self._store.write(lambda tx: self._book.close(tx, pending))

    def question(self, context: CallContext) -> t.InputRequiredResult | None:
        """Return the questions that the caller must answer before the call can continue; `None` if there are none."""
        pending = context.pending
        if pending is None or (round_of(context.call.request_state) is not None and self._answers(context)):
            return None
        return _asking(pending)

    def check(self, tx: Tx, context: CallContext) -> None:
        """Use up the answers of this round, in the transaction that lets the call continue."""
        if context.pending is not None:
            self._book.close(tx, context.pending)

    async def carry(self, context: CallContext, upstream: Upstream, call: UpstreamCall, left: Left) -> Answer:
        """Send a call or continue one, until it has its outcome or a question for another round.

        `left` gets the outcome of a call whose caller never came back for it. Raises what `Upstream.call` raises.
        """
        exchange = _Exchange(context, upstream, call, left)
        if context.pending is not None:
            await self._record(exchange, (self._answers(context) or {}).values())
        if upstream.asks_live and context.call.asking == "rounds" and self.tasks is not None:
            answer = await self._beside(exchange, self.tasks)
        else:
            answer = await self._in_turns(exchange)
        for refused in exchange.notes:
            await self._note("server question", refused, context.call.identity)
        return noted(answer, exchange.notes)

    async def _in_turns(self, exchange: _Exchange) -> Answer:
        """Call a server that answers with its questions, or a 2025 server that asks while this waits."""
        call = replace(exchange.call, on_question=lambda request: self._live(exchange, "", request))
        pending = exchange.context.pending
        if pending is not None:
            call = replace(call, input_responses=self._answers(exchange.context), request_state=pending.state)
        for _ in range(ROUNDS):
            answer = await exchange.upstream.call(call)
            if not isinstance(answer, t.InputRequiredResult):
                return answer
            requests: Mapping[str, Any] = answer.input_requests or {}
            given: dict[str, Any]
            if exchange.context.call.asking == "rounds":
                questions, given = _sort(exchange, requests)
                if questions:
                    return await self._pause(exchange, questions, given=given, state=answer.request_state)
            else:
                given = {theirs: await self._live(exchange, theirs, request) for theirs, request in requests.items()}
            call = replace(call, input_responses=given or None, request_state=answer.request_state)
        raise Internal(f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call")

    async def _beside(self, exchange: _Exchange, tasks: anyio.abc.TaskGroup) -> Answer:
        """Call a 2025 server for a 2026 client, which cannot wait: the call gets a task of its own."""
        pending = exchange.context.pending
        if pending is None:
            waiting = WaitingCall(
                lambda ask: exchange.upstream.call(replace(exchange.call, on_question=ask)),
                patience_s=self._settings().live_timeout_s,
                left=exchange.left,
            )
            tasks.start_soon(waiting.run)
        else:
            held = self._waiting.pop(pending.id, None)
            if held is None:
                raise Conflict("that question is no longer open")
            waiting = held
            (answer,) = (self._answers(exchange.context) or {}).values()
            waiting.deliver(answer)
        for _ in range(ROUNDS):
            said = await waiting.next()
            if not isinstance(said, t.ElicitRequest):
                return said
            questions, given = _sort(exchange, {"": said})
            if questions:
                return await self._pause(exchange, questions, given={}, waiting=waiting)
            waiting.deliver(given[""])
        raise Internal(f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call")

    async def _pause(
        self,
        exchange: _Exchange,
        questions: list[ServerQuestion],
        *,
        given: Mapping[str, t.ElicitResult],
        state: str | None = None,
        waiting: WaitingCall | None = None,
    ) -> t.InputRequiredResult:
        context, settings, now = exchange.context, self._settings(), self._clock()
        before = context.pending
        pending = PendingQuestions(
            id=before.id if before is not None else new_id(),
            binding=context.binding().digest(),
            request_id=context.request_id,
            approval_id=context.approval_id,
            round=before.round + 1 if before is not None else 1,
            questions={question.key: _stored(question) for question in questions},
            given={theirs: answer.model_dump(mode="json", exclude_none=True) for theirs, answer in given.items()},
            state=state,
            owner=this_process() if waiting is not None else "",
            expires=now + (settings.live_timeout_s if waiting is not None else seconds(settings.ttl, "approval.ttl")),
        )
        try:
            await self._store.write(lambda tx: self._book.open(tx, pending))
            self._some_wait = True
        except StoreError as error:
            raise Internal(f"cannot keep a question of server {exchange.upstream.name}") from error
        if waiting is not None:
            self._waiting[pending.id] = waiting
        return _asking(pending)

    async def _live(self, exchange: _Exchange, theirs: str, request: object) -> t.ElicitResult:
        """Ask while the call waits. If no one can be asked or no answer comes in time, cancel the question."""
        ask = exchange.context.call.ask
        exchange.asked += 1
        if exchange.asked > ROUNDS:
            exchange.note(
                f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call;"
                " further questions were cancelled"
            )
            return t.ElicitResult(action="cancel")
        try:
            question = read_question(exchange.context.entry, exchange.context.binding().digest(), theirs, request)
        except Refused as why:
            return exchange.refused(why)
        if exchange.context.call.asking != "live" or ask is None:
            exchange.note(
                f"server {exchange.upstream.name} asked a question that this client cannot show; it was cancelled"
            )
            return t.ElicitResult(action="cancel")
        with anyio.move_on_after(self._settings().live_timeout_s):
            action, content = await ask(question.text, question.schema)
            answer = question.answer(_result({"action": action, "content": content}))
            await self._record(exchange, [answer])
            return answer
        await self._record(exchange, [t.ElicitResult(action="cancel")])
        return t.ElicitResult(action="cancel")

    async def _record(self, exchange: _Exchange, answers: Iterable[t.ElicitResult]) -> None:
        """Note in the ledger whether a server's questions were accepted, declined or cancelled, without the answers."""
        context = exchange.context
        actions = ", ".join(answer.action for answer in answers)
        detail = f"{exchange.upstream.name} asked during {context.entry.name} ({context.request_id}): {actions}"
        await self._note("server question", detail, context.call.identity)

    def _answers(self, context: CallContext) -> dict[str, t.ElicitResult] | None:
        """Return the server's own keys with the answers of this round; `None` while one is missing."""
        pending, responses = context.pending, context.call.input_responses or {}
        if pending is None or any(key not in responses for key in pending.questions):
            return None
        answers = {theirs: _result(answer) for theirs, answer in pending.given.items()}
        for key, stored in pending.questions.items():
            question = ServerQuestion(key=key, **stored)
            answers[question.theirs] = question.answer(_result(responses[key]))
        return answers


def _sort(exchange: _Exchange, requests: Mapping[str, Any]) -> tuple[list[ServerQuestion], dict[str, t.ElicitResult]]:
    """Return the questions for the human, and the answers to those that no human gets to see."""
    binding, pending = exchange.context.binding().digest(), exchange.context.pending
    turn = pending.round + 1 if pending is not None else 1
    questions: list[ServerQuestion] = []
    given: dict[str, t.ElicitResult] = {}
    for theirs, request in requests.items():
        try:
            questions.append(read_question(exchange.context.entry, binding, theirs, request, turn=turn))
        except Refused as why:
            given[theirs] = exchange.refused(why)
    return questions, given


def _stored(question: ServerQuestion) -> dict[str, Any]:
    return {name: value for name, value in asdict(question).items() if name != "key"}


def _asking(pending: PendingQuestions) -> t.InputRequiredResult:
    requests = {
        key: t.ElicitRequest(
            params=t.ElicitRequestFormParams(message=question["text"], requested_schema=question["schema"])
        )
        for key, question in pending.questions.items()
    }
    return t.InputRequiredResult(input_requests=dict(requests), request_state=pending.round_mark())


def _result(answer: object) -> t.ElicitResult:
    if isinstance(answer, t.ElicitResult):
        return answer
    try:
        return t.ElicitResult.model_validate(answer)
    except ValidationError as error:
        raise InvalidArguments("the answer to the question is not an elicitation result") from error
