"""Asks a human about a call, or finds the question that was asked before, and waits for the answer.

A yes is only noted here. The transaction that writes `begun` uses it up, and checks the policy once more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import anyio
import anyio.to_thread
import mcp_types as t

from lg_gateway.approvals.binding import Binding
from lg_gateway.approvals.layout import word
from lg_gateway.approvals.notifying import Notifier
from lg_gateway.approvals.question import Frame, HumanAnswer, compose, read_answer
from lg_gateway.approvals.records import Approval, ApprovalState, ApprovalTable, NewApproval, session_run
from lg_gateway.calls.call import CallContext, arguments_of_kind
from lg_gateway.calls.kept_answers import KeptAnswers
from lg_gateway.elicitation.first_answer import LEASE_S, first_answer
from lg_gateway.elicitation.pending_questions import round_of
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import Store, StoreEdited, StoreError, Tx
from lg_gateway.upstreams.progress import Progress
from lg_policy.config.durations import seconds
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import ApprovalDenied, ApprovalRequired, Internal, InvalidArguments
from lg_policy.secrets.masking import Masker

log = logging.getLogger(__name__)

POLL_S = 0.25
PROGRESS_EVERY = 20
ON_LOOP_BYTES = 100_000
"""A question about more than this is written in a thread: other calls go on meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a call would do: text for the human, hashes of what it saw. `failure` instead when it would fail.

    `here_only`: the text holds a secret that results of this tool never carry to a client.
    """

    text: str = ""
    here_only: bool = False
    expected: dict[str, str | None] | None = None
    failure: t.CallToolResult | None = None


Previewer = Callable[[CallContext], Awaitable[Preview | None]]


class ApprovalStep:
    """Approvals as a step of the pipeline. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: Store,
        book: ApprovalTable,
        masker: Masker,
        settings: Callable[[], ApprovalSettings],
        kept: KeptAnswers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._kept = kept
        self._notifier = Notifier(lambda: settings().notify)
        self._book = book
        self._masker = masker
        self._settings = settings
        self._clock = clock

    async def permit(
        self, context: CallContext, preview: Previewer
    ) -> CallContext | t.CallToolResult | t.InputRequiredResult:
        """Return the call with an approval to spend, a question for the client to answer, or a failed preview.

        Raises `ApprovalRequired` (no one answered yet), `ApprovalDenied`, `LimitExceeded`.
        """
        try:
            return await self._permit(context, preview)
        except StoreError as error:
            why = f": {error}" if isinstance(error, StoreEdited) else ""
            raise Internal(f"cannot read or write the approval; nothing was done{why}") from error

    async def _permit(
        self, context: CallContext, preview: Previewer
    ) -> CallContext | t.CallToolResult | t.InputRequiredResult:
        if context.pending is not None:
            return await self._again(context)
        binding = context.binding()
        known, grant = await self._store.read(lambda tx: (self._book.find(tx, binding, self._clock()),
                                                          self._granted(tx, context)))  # fmt: skip
        if (
            known is not None
            and known.state is ApprovalState.DENIED
            and (context.metadata.key or _same_run(known, context))
        ):
            raise _denied(known)  # also of a call that "for this run" covers: this very one was denied
        if grant is not None:
            return replace(context, approval_id=grant)
        if known is None or not known.open(self._clock()) or _too_weak(known, context):
            if context.call.request_state is not None:
                raise ApprovalRequired(
                    "that question is no longer open", hint="make the call again, without requestState"
                )
            if context.metadata.asks_nobody:
                raise ApprovalRequired(
                    f"a human must approve this call of {context.entry.tool}, and its caller does not ask anyone",
                    hint="nothing was done, and no one was asked",
                )
            seen = await preview(context)
            if seen is not None and seen.failure is not None:
                return seen.failure
            question = await self._question(context, binding, seen)
            most = self._settings().max_pending
            known = await self._store.write(lambda tx: self._book.ask(tx, question, self._clock(), most))
        if known.state is ApprovalState.APPROVED:
            return _approved(context, known)
        if context.metadata.asks_nobody:
            raise _unanswered(known)
        return await self._ask(context, known)

    async def _again(self, context: CallContext) -> CallContext | t.InputRequiredResult:
        """Handle a call that was begun and waits for an answer to its server's question.

        Its yes is spent and not needed twice. A client that starts again from the first round expects the same question
        once more. A no then means that the call does not go on.
        """
        approval_id, pending = context.approval_id, context.pending
        if pending is None or approval_id is None or round_of(context.call.request_state) is not None:
            return context
        known = await self._store.read(lambda tx: self._book.get(tx, approval_id, 0.0))
        if known is None or not _answerable(context, known):
            return context
        answer = self._answer_in(context, known)
        if answer is None:
            return self._round(context, known)
        verdict = self._verdict(context, known, answer)
        if not verdict.approved:
            raise ApprovalDenied(verdict.reason, hint="do not repeat this call; ask for something else")
        return _approved(context, known)

    def _granted(self, tx: Tx, context: CallContext) -> str | None:
        asks_user = context.decision is not None and context.decision.approver == "user"
        if not asks_user or not (context.metadata.run_id or context.call.session):
            return None
        return self.grant_of(tx, context)

    def grant_of(self, tx: Tx, context: CallContext) -> str | None:
        """Return the id of the "for this run", or session, that covers a call now."""
        pin, now, covering = context.binding().subject(), self._clock(), self._book.grants.covering
        asker = {"identity": context.call.identity, "tool": context.entry.name, "pin": pin}
        for within in (context.metadata.run_id, session_run(context.call.session)):
            found = covering(tx, run_id=within, now=now, **asker) if within is not None else None
            if found is not None:
                return found
        return self._kept.covering(context, now)

    async def _ask(self, context: CallContext, approval: Approval) -> CallContext | t.InputRequiredResult:
        call = context.call
        # The client never answers a question for an operator, nor one that it does not show whole.
        if _answerable(context, approval):
            if call.asking == "rounds":
                return await self._ask_in_rounds(context, approval)
            if call.asking == "live" and call.ask is not None:
                return await self._ask_live(context, approval)
        return await self._hold(context, approval)

    async def _ask_in_rounds(self, context: CallContext, approval: Approval) -> CallContext | t.InputRequiredResult:
        answer = self._answer_in(context, approval)
        if answer is None:
            return self._round(context, approval)
        return await self._settle(context, approval, self._verdict(context, approval, answer))

    def _answer_in(self, context: CallContext, approval: Approval) -> object | None:
        """Return this round's answer. Raises `InvalidArguments` when it was given to another question."""
        answer: object = (context.call.input_responses or {}).get(question_key(approval))
        if answer is None or context.call.request_state is None:
            return None
        if _state_of(context.call.request_state) != approval.id:
            raise InvalidArguments("this answer belongs to another question")
        return answer

    def _round(self, context: CallContext, approval: Approval) -> t.InputRequiredResult:
        return self._kept.round(context, approval, question_key(approval), _shown(context, approval))

    async def _ask_live(self, context: CallContext, approval: Approval) -> CallContext:
        """Ask through the client; an answer from another terminal counts as well, whichever comes first."""
        ask, shown, store, book = context.call.ask, self._kept.form(context, approval), self._store, self._book
        answer, current = await first_answer(
            ask=partial(ask, _shown(context, approval), shown) if ask is not None else None,
            elsewhere=lambda: self._answered(approval, None),
            keep=lambda: store.write(lambda tx: book.keep(tx, approval.id, self._clock(), LEASE_S)),
            withdraw=(lambda: store.write(lambda tx: self._expire(tx, approval))) if approval.waits_until else None,
            limit_s=self._settings().live_timeout_s,
        )
        if answer is not None:
            return await self._settle(context, approval, read_answer(*answer, shown.choices))
        if current is None or current.state is ApprovalState.PENDING:
            await self._store.write(lambda tx: self._expire(tx, approval))
            raise ApprovalRequired("no one answered in time; the question has expired", hint="nothing was done")
        return _outcome(context, current)

    async def _hold(self, context: CallContext, approval: Approval) -> CallContext:
        """Wait for an answer from another terminal or process. The log, which humans read, says how to give one."""
        log.warning(
            "a call of %s waits for a human's answer: see `lg-gateway approvals show %s`, then answer with "
            "`lg-gateway approvals watch` at a terminal",
            word(approval.tool), approval.id,
        )  # fmt: skip
        await self._notifier.tell(approval)
        call, hold = context.call, self._settings().hold_s
        if call.hold_s is not None:
            hold = call.hold_s
        elif call.asking == "none" and call.progress is None:
            # Its client would give the call up meanwhile, without a word. Its repeat finds the question.
            hold = 0
        hold = 0 if context.metadata.only_asks else hold
        current: Approval | None = approval
        with anyio.move_on_after(hold):
            current = await self._answered(approval, context.call.progress)
        if current is None or current.state is ApprovalState.PENDING:
            raise _unanswered(approval)
        return _outcome(context, current)

    async def _answered(self, approval: Approval, progress: Progress | None) -> Approval | None:
        """Wait until a question is no longer pending; tell the caller now and then that this is why it waits."""
        current: Approval | None = approval
        waited = 0
        while current is not None and current.state is ApprovalState.PENDING:
            await anyio.sleep(POLL_S)
            waited += 1
            if progress is not None and waited % PROGRESS_EVERY == 1:
                await progress(waited * POLL_S, None, "waiting for a human's approval")
            current = await self._store.read(lambda tx: self._book.get(tx, approval.id, self._clock()))
        return current

    async def _settle(self, context: CallContext, approval: Approval, verdict: HumanAnswer) -> CallContext:
        by = f"{context.call.identity} through the client"
        if context.call.at_terminal:
            by = f"{context.call.identity} at a terminal"
        decided, first = await self._store.write(lambda tx: self._decide(tx, context, approval, verdict, by))
        if first and verdict.keep:
            await self._kept.write(context, decided, verdict.keep, self._clock())
        return _outcome(context, decided)

    def _decide(
        self, tx: Tx, context: CallContext, approval: Approval, verdict: HumanAnswer, by: str
    ) -> tuple[Approval, bool]:
        """Return the question as it is decided, and whether this answer did that."""
        current = self._book.get(tx, approval.id, self._clock())
        if current is None or current.state in (ApprovalState.EXPIRED, ApprovalState.USED):
            raise ApprovalRequired("that question is no longer open", hint="make the call again")
        if current.state is not ApprovalState.PENDING:
            return current, False  # already answered elsewhere: the first answer counts
        how = "approve" if verdict.approved else "deny"
        moved = self._book.move(tx, current, how, by=by, reason=verdict.reason, kept=verdict.keep)
        if verdict.approved:
            self._kept.record(tx, context, moved, verdict, self._clock())
        return moved, True

    def _verdict(self, context: CallContext, approval: Approval, answer: object) -> HumanAnswer:
        result = answer if isinstance(answer, t.ElicitResult) else None
        if result is None and isinstance(answer, dict):
            result = t.ElicitResult.model_validate(answer)
        if result is None:
            raise InvalidArguments("the answer to the question is not an elicitation result")
        return read_answer(result.action, result.content, self._kept.form(context, approval).choices)

    def _expire(self, tx: Tx, approval: Approval) -> None:
        current = self._book.get(tx, approval.id, self._clock())
        if current is not None and current.state is ApprovalState.PENDING:
            self._book.move(tx, current, "expire")

    async def _question(self, context: CallContext, binding: Binding, seen: Preview | None) -> NewApproval:
        """Write the question. Nothing in it is masked: what a human approves is what happens."""
        decision, entry, arguments = context.decision, context.entry, context.call.arguments
        approver = decision.approver if decision else "operator"
        frame = Frame(
            server=entry.server.name,
            builtin=entry.server.builtin is not None,
            kind=entry.kind,
            tool=entry.tool,
            effect=f"{decision.reason} ({decision.rule})" if decision else "",
            identity=context.call.identity,
            client=context.call.client,
            run_id=context.metadata.run_id,
            approver=approver,
        )
        text = seen.text if seen is not None else None
        write = partial(compose, frame, arguments, text, partial(secret_lines, self._masker))
        small = context.bytes_in + len(text or "") <= ON_LOOP_BYTES
        shown = write() if small else await anyio.to_thread.run_sync(write)
        marked = not small or _hold_secrets(self._masker, arguments_of_kind(context.call, entry))
        question = NewApproval(
            binding=binding,
            approver=approver,
            text=shown.text,
            hidden_lines=shown.hidden_lines,
            full=shown.full,
            run_id=context.metadata.run_id,
            expected=seen.expected if seen is not None else None,
            lifetime_s=seconds(self._settings().ttl, "approval.ttl"),
            here_only=seen is not None and seen.here_only,
            session=context.call.session,
            always=self._kept.offered(context, secrets=marked),
            root=entry.server.gateway_root,
        )
        live = context.call.asking == "live" and _answerable(context, question)
        return replace(question, lifetime_s=self._settings().live_timeout_s, lease_s=LEASE_S) if live else question


def secret_lines(masker: Masker, text: str) -> dict[int, frozenset[str]]:
    """Return the lines of a text that hold what looks like a secret, with the kinds of secrets."""
    found: dict[int, frozenset[str]] = {}
    number = at = 0
    for span in masker.spans(text):
        number, at = number + text.count("\n", at, span.start), span.start
        found[number] = found.get(number, frozenset()) | {span.kind}
    return found


def _hold_secrets(masker: Masker, arguments: Mapping[str, object]) -> bool:
    """Whether arguments hold what looks like a secret, as they are or as JSON writes them."""
    written = json.dumps(arguments, ensure_ascii=False, indent=0)
    return bool(secret_lines(masker, written)) or masker.mask_json(arguments) != arguments


def _answerable(context: CallContext, question: Approval | NewApproval) -> bool:
    """Whether the client may answer: a user's question that it may see, and that is shown whole there."""
    if question.approver != "user" or question.here_only:
        return False
    return question.hidden_lines == 0 or context.metadata.shows_whole


def _shown(context: CallContext, approval: Approval) -> str:
    return approval.full if approval.hidden_lines and context.metadata.shows_whole else approval.text


def question_key(approval: Approval) -> str:
    """Return the request key of a question: the same in every round of the same call while the question is open.

    Adapters match a stored answer by this key alone: an answer to one call cannot be delivered to another, and a yes
    that was used does not fit when the same call is asked about anew.
    """
    return f"approve.{digest([approval.id, approval.binding, approval.text])[:32]}"


def _outcome(context: CallContext, approval: Approval) -> CallContext:
    """Return the call with the yes that was given. Raises for everything else."""
    if approval.state is ApprovalState.APPROVED:
        return _approved(context, approval)
    if approval.state is ApprovalState.DENIED:
        raise _denied(approval)
    raise _unanswered(approval)


def _unanswered(approval: Approval) -> ApprovalRequired:
    return ApprovalRequired(
        f"a human must approve this call of {approval.tool}; the question is {approval.id}",
        hint="nothing was done; a person approves it at the gateway, never the caller; "
        "make the same call again once it is approved",
        approval_id=approval.id,
    )


def _approved(context: CallContext, approval: Approval) -> CallContext:
    return replace(context, approval_id=approval.id, expected=approval.expected)


def _denied(approval: Approval) -> ApprovalDenied:
    return ApprovalDenied(approval.reason or "a human said no", hint="do not repeat this call; ask for something else")


def _too_weak(approval: Approval, context: CallContext) -> bool:
    """Whether a question was put to the user that the rules now leave to an operator."""
    wanted = context.decision.approver if context.decision is not None else "operator"
    return wanted == "operator" and approval.approver != "operator"


def _same_run(approval: Approval, context: CallContext) -> bool:
    return approval.run_id is not None and approval.run_id == context.metadata.run_id


def _state_of(request_state: str) -> str | None:
    try:
        state = json.loads(request_state)
    except ValueError:
        return None
    return state.get("approval") if isinstance(state, dict) else None
