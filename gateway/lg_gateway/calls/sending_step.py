"""Sends a call, and passes questions of its server to the caller's human and the answers back.

Server and client may speak different eras of the protocol. A 2025 client is asked while its call waits. A 2026 client
gets the question as an answer and calls again; a 2026 server then continues from its own state; the call of a 2025
server waited in this process. If a caller cannot be asked, the question is cancelled, and the answer says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.abc
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.call import Call, CallContext
from lg_gateway.calls.exchange import Exchange, Given, Left, asking_result, said, stored
from lg_gateway.elicitation.client_abilities import FORM, ROOTS, SAMPLING, as_error
from lg_gateway.elicitation.login_pages import LoginPages, waits_for_login
from lg_gateway.elicitation.pending_questions import PendingQuestions, PendingQuestionsTable, new_id, round_of
from lg_gateway.elicitation.refusals import NotPassedOn, Refused
from lg_gateway.elicitation.sampling_request import Mask, Public
from lg_gateway.elicitation.server_question import ServerQuestion, elicited
from lg_gateway.elicitation.url_question import wanted_pages
from lg_gateway.elicitation.waiting_calls import WaitingCall
from lg_gateway.processes.process_names import may_live, this_process
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_gateway.upstream_login.login_errors import LoginRequired
from lg_gateway.upstreams.handshake_memory import EraChanged
from lg_gateway.upstreams.offers.server_tasks import with_tasks
from lg_gateway.upstreams.question_routing import cancelled
from lg_gateway.upstreams.replies import Answer, noted
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.config.durations import seconds
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import ApprovalDenied, Conflict, Internal, LgError

log = logging.getLogger(__name__)

ROUNDS = 20
LOOK_S = 1.0
PAGE_S = 60.0
"""How long a call waits for a server to say that its page is done with; then it is made again anyway."""


class SendingStep:
    """Sends a call and handles its server's questions."""

    def __init__(
        self,
        store: Store,
        book: PendingQuestionsTable,
        settings: Callable[[], ApprovalSettings],
        note: Callable[[str, str, str], Awaitable[object]],
        login_pages: LoginPages,
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
        self._login_pages = login_pages
        self.tasks: anyio.abc.TaskGroup | None = None
        """Where calls run that outlive a request; set while the gateway runs."""

    async def join(self, context: CallContext) -> CallContext:
        """Find the open questions of this call. Raises `Conflict` for an answer to a question that is not open."""
        if not context.call.answers.rounds:
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
        """Return the questions that the caller must answer before the call can continue; `None` if there are none.

        Raises `Conflict` for a call that was to be asked about and not made.
        """
        if context.metadata.only_asks:
            raise Conflict("this call needs no answer", hint="nothing was done; it can be made")
        pending = context.pending
        if pending is None or (round_of(context.call.request_state) is not None and self._answers(context)):
            return None
        return asking_result(pending)

    def check(self, tx: Tx, context: CallContext) -> None:
        """Use up the answers of this round, in the transaction that lets the call continue."""
        if context.pending is not None:
            self._book.close(tx, context.pending)

    async def carry(
        self,
        context: CallContext,
        upstream: Upstream,
        call: UpstreamCall,
        left: Left,
        mask: Mask | None = None,
        public: Public = str,
    ) -> Answer:
        """Send a call or continue one, until it has its outcome or a question for another round.

        `left` gets the outcome of a call whose caller never came back for it. `mask` hides secrets in what the server
        sends to the client's model. Raises what `Upstream.call` raises.
        """
        told = context.call.answers.towards(upstream.spec)
        call = call.but(capabilities=with_tasks(told) if call.as_task else told)
        exchange = Exchange(context, upstream, call, left, mask, public)
        if context.pending is not None:
            await self._record(exchange, (self._answers(context) or {}).values())
        if waits_for_login(context.pending):
            await self._logged_in(exchange, *(self._answers(context) or {}).values())
        try:
            answer = await self._sent(exchange)
        except EraChanged:
            answer = await self._sent(exchange)
        for refused in exchange.notes:
            await self._note("server question", refused, context.call.identity)
        return noted(answer, exchange.notes)

    async def ask_during_task(
        self,
        context: CallContext,
        upstream: Upstream,
        call: UpstreamCall,
        mask: Mask | None,
        public: Public,
        *asked: Any,
    ) -> Given:
        """Put the question of a task, its key and itself, to the client whose call waits for the task."""
        return await self._answer_live(Exchange(context, upstream, call, _nobody, mask, public), asked[1])

    async def _sent(self, exchange: Exchange) -> Answer:
        """Send a call. If the server wants a login first, ask for one where the client can show its page."""
        context = exchange.context
        try:
            return await self._sent_once(exchange)
        except LoginRequired as required:
            question = None
            if not waits_for_login(context.pending):
                asking = exchange.asking()
                question = await self._login_pages.question(asking, context.call.identity, required, self.tasks)
            if question is None:
                raise
            if context.call.answers.rounds:
                return await self._pause(exchange, [question], given={})
            answer: Given = t.ElicitResult(action="cancel")
            with anyio.move_on_after(self._settings().live_timeout_s):
                answer = await _asked(context.call, question)
        await self._record(exchange, [answer])
        await self._logged_in(exchange, answer)
        return await self._sent_once(exchange)

    async def _logged_in(self, exchange: Exchange, *answers: Given) -> None:
        """Wait for a login whose page somebody opened. Raises `ApprovalDenied` if nobody did."""
        for answer in answers:
            _accepted(answer, exchange.upstream.name)
        login, wait_s = exchange.upstream.spec.login, min(PAGE_S, self._settings().live_timeout_s)
        await self._login_pages.finished(login, exchange.context.call.identity, wait_s)

    async def _sent_once(self, exchange: Exchange) -> Answer:
        if exchange.upstream.asks_live and exchange.context.call.answers.rounds and self.tasks is not None:
            return await self._beside(exchange, self.tasks)
        return await self._in_turns(exchange)

    async def _in_turns(self, exchange: Exchange) -> Answer:
        """Call a server that answers with its questions, or a 2025 server that asks while this waits."""
        call = exchange.call.but(on_question=lambda request: self._answer_live(exchange, request))
        pending = exchange.context.pending
        if pending is not None and not waits_for_login(pending):
            call = replace(call, input_responses=self._answers(exchange.context), request_state=pending.state)
        for _ in range(ROUNDS):
            try:
                answer = await exchange.upstream.call(call)
            except MCPError as error:
                await self._open_pages(exchange, wanted_pages(error.error), error)
                continue
            if not isinstance(answer, t.InputRequiredResult):
                return answer
            requests: Mapping[str, Any] = answer.input_requests or {}
            given: dict[str, Given]
            if exchange.context.call.answers.rounds:
                questions, given = exchange.sorted(requests)
                if questions:
                    return await self._pause(exchange, questions, given=given, state=answer.request_state)
            else:
                given = {theirs: await self._ask_now(exchange, theirs, request) for theirs, request in requests.items()}
            call = replace(call, input_responses=dict(given) or None, request_state=answer.request_state)
        raise Internal(f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call")

    async def _open_pages(self, exchange: Exchange, pages: Mapping[str, t.ElicitRequest], error: MCPError) -> None:
        """Have the client's human open the pages without which a 2025 server refuses the call, and wait for them.

        Raises `error` where that is not why the call failed.
        """
        if not pages or not exchange.upstream.asks_live or exchange.pages_asked:
            raise error
        exchange.pages_asked = True
        with exchange.upstream.pages.awaited(pages) as opened:
            for theirs, request in pages.items():
                _accepted(await self._ask_now(exchange, theirs, request), exchange.upstream.name)
            with anyio.move_on_after(min(PAGE_S, self._settings().live_timeout_s)):
                await opened.wait()

    async def _beside(self, exchange: Exchange, tasks: anyio.abc.TaskGroup) -> Answer:
        """Call a 2025 server for a 2026 client, which cannot wait: the call gets a task of its own."""
        pending = exchange.context.pending
        if pending is not None and pending.owner:
            held = self._waiting.pop(pending.id, None)
            if held is None:
                raise Conflict("that question is no longer open")
            waiting = held
            (answer,) = (self._answers(exchange.context) or {}).values()
            waiting.deliver(answer)
        else:
            for answer in (self._answers(exchange.context) or {}).values():  # pages that it wants opened first
                _accepted(answer, exchange.upstream.name)
            waiting = WaitingCall(
                lambda ask: exchange.upstream.call(replace(exchange.call, on_question=ask)),
                patience_s=self._settings().live_timeout_s,
                left=exchange.left,
            )
            tasks.start_soon(waiting.run)
        for _ in range(ROUNDS):
            try:
                news = await waiting.next()
            except MCPError as error:
                pages = wanted_pages(error.error)
                questions, _ = exchange.sorted(pages)
                if not questions or len(questions) < len(pages):
                    raise
                return await self._pause(exchange, questions, given={})
            if not isinstance(news, t.InputRequest):
                return news
            questions, given = exchange.sorted({"": news})
            if questions:
                return await self._pause(exchange, questions, given={}, waiting=waiting)
            waiting.deliver(given[""])
        raise Internal(f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call")

    async def _pause(
        self,
        exchange: Exchange,
        questions: list[ServerQuestion],
        *,
        given: Mapping[str, Given],
        state: str | None = None,
        waiting: WaitingCall | None = None,
    ) -> t.InputRequiredResult:
        context, settings, now = exchange.context, self._settings(), self._clock()
        before = context.pending
        turn = before.round + 1 if before is not None else 1
        if turn > ROUNDS:
            if waiting is not None:
                waiting.give_up()
            raise Internal(f"server {exchange.upstream.name} asked more than {ROUNDS} times in one call")
        pending = PendingQuestions(
            id=before.id if before is not None else new_id(),
            binding=context.binding().digest(),
            request_id=context.request_id,
            approval_id=context.approval_id,
            round=turn,
            questions={question.key: stored(question) for question in questions},
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
        return asking_result(pending)

    async def _answer_live(self, exchange: Exchange, request: t.InputRequest) -> Given:
        """Answer a question that a 2025 server asks while its call waits."""
        try:
            return await self._live(exchange, "", request)
        except LgError as why:
            return exchange.not_passed_on(why)

    async def _ask_now(self, exchange: Exchange, theirs: str, request: t.InputRequest) -> t.InputResponse:
        """Ask while the call waits, for a server that cannot be told of an error. Raises `NotPassedOn` then."""
        answer = await self._live(exchange, theirs, request)
        if isinstance(answer, t.ErrorData):
            raise NotPassedOn(f"the client did not answer what server {exchange.upstream.name} asked: {answer.message}")
        return answer

    async def _live(self, exchange: Exchange, theirs: str, request: t.InputRequest) -> Given:
        """Ask while the call waits. If no one can be asked or no answer comes in time, cancel the question."""
        call, name = exchange.context.call, exchange.upstream.name
        exchange.asked += 1
        if exchange.asked > ROUNDS:
            why = f"server {name} asked more than {ROUNDS} times in one call"
            exchange.note(f"{why}; further questions were cancelled")
            return cancelled(request, why)
        try:
            question = exchange.read(theirs, request)
        except Refused as why:
            return exchange.refused(why)
        if question.kind not in call.answers.kinds or call.answers.rounds:
            exchange.note(f"server {name} asked a question that this client cannot show; it was cancelled")
            return cancelled(request, "the client cannot show it")
        page = getattr(request.params, "elicitation_id", None)
        if page and call.page_done is not None:
            exchange.upstream.pages.shown(str(page), partial(call.page_done, question.key))
        answer: Given = cancelled(request, "no answer came in time")
        with anyio.move_on_after(self._settings().live_timeout_s):
            answer = await _asked(call, question)
        await self._record(exchange, [answer])
        return answer

    async def _record(self, exchange: Exchange, answers: Iterable[Given]) -> None:
        """Note in the ledger whether a server's questions were accepted, declined or cancelled, without the answers."""
        context = exchange.context
        actions = ", ".join(said(answer) for answer in answers)
        detail = f"{exchange.upstream.name} asked during {context.entry.name} ({context.request_id}): {actions}"
        await self._note("server question", detail, context.call.identity)

    def _answers(self, context: CallContext) -> dict[str, t.InputResponse] | None:
        """Return the server's own keys with the answers of this round; `None` while one is missing."""
        pending, responses = context.pending, context.call.input_responses or {}
        if pending is None or any(key not in responses for key in pending.questions):
            return None
        answers: dict[str, t.InputResponse] = {theirs: elicited(answer) for theirs, answer in pending.given.items()}
        for key, kept in pending.questions.items():
            question = ServerQuestion(key=key, **kept)
            answers[question.theirs] = question.answer(responses[key])
        return answers


async def _nobody(_outcome: object) -> None:
    """Take the outcome of a call whose caller waits for it elsewhere."""


async def _asked(call: Call, question: ServerQuestion) -> Given:
    """Return the client's answer to a question that is put to it now."""
    try:
        if call.ask_client is not None:
            return question.answer(await call.ask_client(question.request()))
        if call.ask is not None and question.kind == FORM:
            action, content = await call.ask(question.text, question.schema)
            return question.answer({"action": action, "content": content})
    except MCPError as error:
        log.warning("a client did not answer a question: %s", error)
        return as_error(error) if question.kind in (SAMPLING, ROOTS) else t.ElicitResult(action="cancel")
    return cancelled(question.request(), "the client cannot be asked")


def _accepted(answer: Given, server: str) -> None:
    """Raise `ApprovalDenied` unless a human agreed to open a page."""
    if not isinstance(answer, t.ElicitResult) or answer.action != "accept":
        raise ApprovalDenied(f"server {server} takes the call only after you have opened its page, and you did not")
