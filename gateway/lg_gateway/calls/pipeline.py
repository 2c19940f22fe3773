"""Takes one call from arrival to ledger. `Pipeline.run` lists all steps; read it first.

Every refusal is a result a model can read, and one record. Nothing leaves before `begun` is durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.calls import idempotency, run_budgets
from lg_gateway.calls.approval_step import ApprovalStep, Preview
from lg_gateway.calls.call import Call, CallContext, arguments_of_kind, new_request_id
from lg_gateway.calls.caller_metadata import forwarded_meta, read_metadata
from lg_gateway.calls.caller_reports import logs_to_caller, progress_to_caller
from lg_gateway.calls.decision_step import DecisionStep, Policy
from lg_gateway.calls.idempotency_step import IdempotencyStep
from lg_gateway.calls.in_thread import in_thread_if, in_thread_if_large
from lg_gateway.calls.kept_results import KeptResults
from lg_gateway.calls.rate_limits import RateLimiter, subject_of
from lg_gateway.calls.recorder import Also, LedgerRecorder, no_more, notes_of
from lg_gateway.calls.results import (
    as_outcome,
    as_preview,
    cut_note,
    error_code,
    masks,
    refusal,
    shape_result,
    upstream_refusal,
)
from lg_gateway.calls.sending_step import SendingStep
from lg_gateway.calls.task_step import TaskStep, is_task
from lg_gateway.catalog.catalog import Catalog
from lg_gateway.catalog.entry import Entry
from lg_gateway.elicitation.waiting_calls import Outcome
from lg_gateway.ledger.halting import HaltStep
from lg_gateway.ledger.outcomes import Outcome as KeptOutcome
from lg_gateway.processes.process_names import this_process
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_gateway.upstreams.replies import Answer
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.errors import (
    ApprovalDenied,
    ApprovalRequired,
    CallTimeout,
    Conflict,
    Halted,
    Internal,
    InvalidArguments,
    LgError,
    OutcomeUnknown,
    TooLarge,
    UpstreamUnavailable,
)
from lg_policy.limits import INLINE_CHARACTERS
from lg_policy.rules.rule_set import Effect, Kind
from lg_policy.secrets.masking import Masker, find_marker
from lg_policy.wire.quick_models import changed

log = logging.getLogger(__name__)


class Pipeline:
    """Takes a call through every step. `policy` returns the policy in force, for each call."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        catalog: Catalog,
        upstream_of: Callable[[CallContext], Upstream],
        store: Store,
        recorder: LedgerRecorder,
        approval_step: ApprovalStep,
        approvals: ApprovalTable,
        sending_step: SendingStep,
        kept_results: KeptResults,
        masker: Masker,
        halts: HaltStep,
        workers: int = 1,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._policy = policy
        self._refresh = refresh
        self._halts = halts
        self.decisions = DecisionStep(policy, catalog)
        self._catalog = catalog
        self._upstream_of = upstream_of
        self._store = store
        self._recorder = recorder
        self._approval_step = approval_step
        self._approvals = approvals
        self._sending_step = sending_step
        self.kept_results = kept_results
        self._masker = masker
        self.limiter = RateLimiter(lambda: policy().settings.gateway, workers=workers)
        self.task_step = TaskStep()
        self._in_flight: dict[str, anyio.Event] = {}
        self._idempotency_step = IdempotencyStep(
            store, recorder, approvals, lambda: policy().settings, self._in_flight, tasks=self.task_step
        )

    async def run(self, call: Call) -> Answer:
        """Take one call through every step. Raises `MCPError` -32602 for what the caller cannot see."""
        entry, name = await self._find(call)
        if call.kind is not Kind.TOOL or name != call.name:
            call = call.but(name=name, arguments=arguments_of_kind(call, entry))
        context = CallContext(call=call, entry=entry)
        answer = await self._steps(context)
        if isinstance(answer, t.CallToolResult):
            # What ties a client's own record of the call to the ledger's.
            answer = changed(answer, meta=(answer.meta or {}) | {"lg/request": context.request_id})
        return answer

    async def _steps(self, context: CallContext) -> Answer:
        try:
            context = await self._read(context)
            await self._halts.refuse()
            context = self.decisions.of(context)
            context = await self._check(context)
            context = await self._sending_step.join(context)
            recalled = await self._idempotency_step.look(context)
            if not isinstance(recalled, CallContext):
                return recalled
            permitted = await self._permit(recalled)
            if not isinstance(permitted, CallContext):
                return permitted
            context = permitted
            question = self._sending_step.question(context)
            if question is not None:
                await self._recorder.asked(context)
                return question
            if context.pending is not None:
                context = context.but(recalled=True)
            with self.limiter.admit(subject_of(context), bytes_in=context.bytes_in, again=context.recalled):
                login = await self._upstream_of(context).login.known()
                context = context.but(login=login) if login else context
                await self._recorder.begun(context, self._last_checks(context), self._halts.check)
                return await self._carry_out(context.but(sent=time.monotonic()))
        except LgError as error:
            await self._recorder.refused(context, error)
            return refusal(error, self._masker)

    async def _find(self, call: Call) -> tuple[Entry, str]:
        """Return what is called, and the catalogue's name for it."""
        name, entry = self.decisions.meant(call.identity, call.kind, call.name)
        if entry is None or name is None:
            await self._recorder.unknown_tool(call)
            raise MCPError(t.INVALID_PARAMS, self.decisions.unknown(call.identity, call.kind, call.name))
        return (entry if call.completes is None else entry.to_complete()), name

    async def _read(self, context: CallContext) -> CallContext:
        """Repair the arguments, then add metadata, digest and size: what is known without checking the arguments."""
        context = await in_thread_if_large(context.call.arguments, self._meant, context)
        metadata = read_metadata(context.call.meta)
        if metadata is not context.metadata:
            context = context.but(metadata=metadata)
        limit = self._policy().settings.gateway.arguments_max_bytes
        if context.bytes_in > limit:
            raise TooLarge(f"the arguments have {context.bytes_in} bytes; the limit is {limit}")
        return context

    def _meant(self, context: CallContext) -> CallContext:
        return self._recorder.describe(context, context.entry.meant(context.call.arguments))

    async def _check(self, context: CallContext) -> CallContext:
        """Check that the arguments fit the tool and hold no mask. Callers who may not call were refused before."""
        await context.entry.check.checked(context.call.arguments)
        marker = await in_thread_if(context.bytes_in > INLINE_CHARACTERS, find_marker, context.call.arguments)
        if marker is not None:
            raise InvalidArguments(
                f"the arguments contain {marker}, which stands for a value that was hidden",
                hint="leave that part of the text unchanged, or read the real value where it is",
            )
        return context

    async def _permit(self, context: CallContext) -> CallContext | Answer:
        """Ask a human where policy says so; a repeated call was permitted when it was begun."""
        if context.recalled or context.decision is None or context.decision.effect is Effect.ALLOW:
            return context
        if self._refresh is not None and context.pending is None:
            # A rule that a human has just written spares the question at once.
            await self._refresh()
            context = self.decisions.of(context)
            if context.decision is None or context.decision.effect is Effect.ALLOW:
                return context
        if context.entry.completes:
            raise ApprovalRequired("it needs approval, and nobody is asked about a completion")
        try:
            answer = await self._approval_step.permit(context, self._preview)
        except ApprovalDenied:
            if context.pending is not None:
                await self._sending_step.close(context.pending)
            raise
        if isinstance(answer, t.InputRequiredResult):
            await self._recorder.asked(context)
        elif isinstance(answer, t.CallToolResult):
            await self._recorder.ended(
                context, "refused", code=error_code(answer, context.entry), detail="its preview failed"
            )
        return answer

    def _last_checks(self, context: CallContext) -> Callable[[Tx], None]:
        """What must hold in the transaction that begins the call: nothing has changed since it was permitted."""

        def check(tx: Tx) -> None:
            now = time.time()
            if context.call.standing is not None:
                context.call.standing(tx)
            self.decisions.again(context)
            current = self._catalog.look_up(context.call.kind, context.call.name)
            if current is None or not current.same_as(context.entry):
                what = context.call.kind
                raise Conflict(f"the {what} has changed since the call was made", hint=f"list the {what}s again")
            idempotency.check_epoch(tx, context, now)
            if context.approval_id is not None and context.approval_id.startswith("ap-") and not context.recalled:
                self._approvals.use(tx, context.approval_id, context.binding(), now)
            elif (
                context.approval_id is not None
                and not context.recalled
                and self._approval_step.grant_of(tx, context) is None
            ):
                raise Conflict("the approval for this run has ended", hint="make the call again to be asked again")
            idempotency.claim(tx, context, this_process(), now)
            run_budgets.charge(tx, context, self._policy().settings.gateway.run_budget, now)
            if context.pending is not None and self._recorder.went_on(tx, context.pending):
                raise Conflict("that question of the server was already answered", hint="nothing was done again")
            self._sending_step.check(tx, context)

        return check

    async def _preview(self, context: CallContext) -> Preview | None:
        """Have a trusted server say what the call would do. Recorded like any call."""
        if context.entry.preview is None:
            return None
        trial = replace(
            context,
            call=replace(context.call, arguments=context.call.arguments | dict(context.entry.preview), asking="none"),
            request_id=new_request_id(),
            metadata=replace(context.metadata, key=None),
        )
        await self._recorder.begun(trial, lambda _tx: None, self._halts.check)
        with self._halts.running(nothing_done=True):
            try:
                answer = await self._send(trial)
            except LgError as error:
                await self._recorder.ended(trial, "error", code=error.code, detail=error.message)
                raise
            except anyio.get_cancelled_exc_class():
                await self._recorder.cancelled(trial)
                raise
        if not isinstance(answer, t.CallToolResult):
            raise Internal(f"the preview of {context.entry.name} asked a question of its own")
        outcome = "error" if answer.is_error else "preview"
        await self._recorder.ended(trial, outcome, code=error_code(answer, trial.entry))
        hides = masks(self._policy().settings.gateway.mask_results, context.entry)
        return as_preview(answer, self._masker if hides else None)

    async def _carry_out(self, context: CallContext) -> Answer:
        """Send, shape, record. From here on the call may have had an effect."""
        # Only a call with a key is waited for: by its repeats.
        ended = anyio.Event() if context.metadata.key is not None else None
        if ended is not None:
            self._in_flight[context.request_id] = ended
        try:
            with self._halts.running():
                return await self._to_its_end(context)
        except Halted as error:  # its end is recorded
            return refusal(error, self._masker)
        finally:
            if ended is not None:
                del self._in_flight[context.request_id]
                ended.set()

    async def _to_its_end(self, context: CallContext) -> Answer:
        try:
            answer = await self._send(context)
        except LgError as error:
            return await self._failed(context, error)
        except anyio.get_cancelled_exc_class():
            await self._recorder.cancelled(context)
            raise
        if isinstance(answer, t.InputRequiredResult):
            await self._recorder.asked(context, f"by {context.entry.server.name}")
            return answer
        return answer if is_task(answer) else await self._finish(context, answer)  # a task's call ends with the task

    async def _left(self, context: CallContext, outcome: Outcome) -> None:
        """Record the outcome of a call whose caller is gone."""
        if not isinstance(outcome, t.InputRequiredResult):
            await self.conclude(context, outcome)

    async def conclude(
        self, context: CallContext, outcome: Outcome | None, also: Also = no_more
    ) -> t.CallToolResult | None:
        """Record the outcome of a call that went on without its caller, and return it as the caller would get it.

        `None` is the outcome of a cancelled call. `also` writes in the same transaction.
        """
        if isinstance(outcome, t.CallToolResult):
            return await self._finish(context, outcome, also)
        if outcome is None or isinstance(outcome, t.InputRequiredResult):
            await self._recorder.ended(context, "cancelled", along=lambda tx: also(tx, None))
            return None
        error = upstream_refusal(context.entry.server.name, outcome) if isinstance(outcome, MCPError) else outcome
        return await self._failed(context, error, also)

    async def _failed(self, context: CallContext, error: LgError, also: Also = no_more) -> t.CallToolResult:
        result, seconds = refusal(error, self._masker), context.took_s()
        self.limiter.took(subject_of(context), bytes_out=0, seconds=seconds)
        ended = not isinstance(error, OutcomeUnknown | CallTimeout | UpstreamUnavailable)

        def along(tx: Tx) -> None:
            also(tx, result)
            if isinstance(error, UpstreamUnavailable) and not context.recalled:
                # Of one that is made again the first try may have had its effect: that key stays known.
                idempotency.release(tx, context)
            elif ended:
                idempotency.settle(tx, context)
            run_budgets.settle(tx, context, bytes_out=0, seconds=seconds)

        kept = self._kept(result) if ended else None
        outcome = "unknown" if isinstance(error, OutcomeUnknown) else "error"
        await self._recorder.ended(context, outcome, code=error.code, kept=kept, detail=error.message, along=along)
        return result

    def _kept(self, result: t.CallToolResult, size: int | None = None, text: str | None = None) -> KeptOutcome:
        return as_outcome(result, size, self._policy().settings.ledger.outcome_max_bytes, text)

    async def _send(self, context: CallContext) -> Answer:
        entry, call = context.entry, context.call
        upstream = self._upstream_of(context)
        key, metadata = idempotency.outward_key(context), context.metadata
        metadata = replace(metadata, key=key) if key is not None else metadata
        setting = self._policy().settings.gateway.mask_results
        sent = UpstreamCall(
            kind=entry.kind,
            tool=entry.tool,
            arguments=context.sent_arguments(),
            meta=forwarded_meta(call.meta, metadata, trusted=entry.server.trusted),
            timeout_s=self.limiter.timeout_s(subject_of(context), entry.server.call_timeout_s),
            repeatable=entry.read_only,
            progress=progress_to_caller(context, setting, self._masker),
            logs=logs_to_caller(context, setting, self._masker),
        )
        mask = self._masker.mask if masks(setting, entry) else None
        try:
            step, left = self._sending_step, partial(self._left, context)
            carry = partial(step.carry, context, upstream, left=left, mask=mask, public=self._public(context))
            ask = partial(step.ask_during_task, context, upstream, sent, mask, self._public(context))
            return await self.task_step.send(context, upstream, sent, carry, ask)
        except MCPError as error:
            raise upstream_refusal(entry.server.name, error) from error

    async def _finish(self, context: CallContext, answer: t.CallToolResult, also: Also = no_more) -> t.CallToolResult:
        settings = self._policy().settings.gateway
        masker = self._masker if masks(settings.mask_results, context.entry) else None
        seconds, limit = context.took_s(), settings.result_max_bytes
        shaped = await shape_result(answer, context.entry, masker, limit, self._public(context))
        self.limiter.took(subject_of(context), bytes_out=shaped.size, seconds=seconds)
        result = shaped.result
        if shaped.whole is not None:
            result = cut_note(result, limit, shaped.size, await self._keep(context, shaped.whole))
        kept = await in_thread_if(shaped.size > INLINE_CHARACTERS, self._kept, result, shaped.size, shaped.text)

        def along(tx: Tx) -> None:
            also(tx, result)
            idempotency.settle(tx, context)
            run_budgets.settle(tx, context, bytes_out=kept.size, seconds=seconds)

        outcome = "error" if result.is_error else "ok"
        code, notes = error_code(result, context.entry), notes_of(answer, context.entry)
        written = await self._recorder.ended(context, outcome, code=code, kept=kept, detail=notes, along=along)
        if not written:
            result = result.model_copy(update={"meta": (result.meta or {}) | {"lg/unrecorded": True}})
        return result

    def _public(self, context: CallContext) -> Callable[[str], str]:
        """Return what gives a URI of the call's server the address that clients use."""
        return partial(self._catalog.offers.addresses.public, context.entry.server.name)

    async def _keep(self, context: CallContext, text: str) -> str | None:
        """Keep a long result, so that its caller can read on; `None` when that is impossible."""
        keep, identity, trusted = self.kept_results.keep, context.call.identity, context.entry.server.trusted
        try:
            return await self._store.write(lambda tx: keep(tx, identity, text, time.time(), trusted=trusted))
        except StoreError:
            log.exception("cannot keep a long result")
            return None
