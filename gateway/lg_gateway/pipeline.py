"""One call from arrival to ledger. `Pipeline.run` is the whole way, as a list of steps; read it first.

Every refusal is a result a model can read, and one record. Nothing leaves before `begun` is durable.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway import budgets, effects
from lg_gateway.approvals import ApprovalBook
from lg_gateway.books import Books
from lg_gateway.call import Call, Passage, new_request_id
from lg_gateway.catalog import Catalog, CatalogEntry
from lg_gateway.conversation import Conversations
from lg_gateway.gate import Gate, Preview
from lg_gateway.instance import this_process
from lg_gateway.keep import keep
from lg_gateway.marks import forwarded_meta, read_marks
from lg_gateway.meter import Meter, Subject
from lg_gateway.outcomes import Outcome as KeptOutcome
from lg_gateway.parking import Outcome
from lg_gateway.progress import Thinned
from lg_gateway.recall import Recall
from lg_gateway.results import (
    as_outcome,
    as_preview,
    cut,
    error_code,
    masked,
    masks,
    refusal,
    tidy,
    upstream_refusal,
    whole_text,
)
from lg_gateway.store import Store, StoreError, Tx
from lg_gateway.upstream import Answer, Upstream, UpstreamCall
from lg_policy.config.settings import Settings
from lg_policy.errors import (
    ApprovalDenied,
    CallTimeout,
    Conflict,
    Internal,
    InvalidArguments,
    LgError,
    OutcomeUnknown,
    PolicyDenied,
    TooLarge,
    UpstreamUnavailable,
)
from lg_policy.rules.rule_set import Decision, Effect, RuleBook
from lg_policy.secrets.masking import Masker, find_marker

log = logging.getLogger(__name__)

RECORD_GRACE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What decides: replaced as a whole when the configuration is reloaded."""

    settings: Settings
    rules: RuleBook


class Pipeline:
    """Everything a call passes. `policy` is asked anew for every call."""

    def __init__(
        self,
        *,
        policy: Callable[[], Policy],
        catalog: Catalog,
        upstreams: Mapping[str, Upstream],
        store: Store,
        books: Books,
        gate: Gate,
        approvals: ApprovalBook,
        conversations: Conversations,
        masker: Masker,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._upstreams = upstreams
        self._store = store
        self._books = books
        self._gate = gate
        self._approvals = approvals
        self._conversations = conversations
        self._masker = masker
        self.meter = Meter(lambda: policy().settings.gateway)
        self._in_flight: dict[str, anyio.Event] = {}
        self._recall = Recall(store, books, approvals, lambda: policy().settings, self._in_flight)

    async def run(self, call: Call) -> Answer:
        """Take one call through every step. Raises `MCPError` -32602 for a tool that the caller cannot see."""
        passage = Passage(call=call, entry=await self._find(call))
        answer = await self._steps(passage)
        if isinstance(answer, t.CallToolResult):
            # What ties a client's own record of the call to the ledger's.
            answer = answer.model_copy(update={"meta": (answer.meta or {}) | {"lg/request": passage.request_id}})
        return answer

    async def _steps(self, passage: Passage) -> Answer:
        try:
            passage = await self._read(passage)
            passage = self._decide(passage)
            passage = await self._conversations.join(passage)
            recalled = await self._recall.look(passage)
            if not isinstance(recalled, Passage):
                return recalled
            permitted = await self._permit(recalled)
            if not isinstance(permitted, Passage):
                return permitted
            passage = permitted
            question = self._conversations.question(passage)
            if question is not None:
                await self._books.asked(passage)
                return question
            passage = replace(passage, recalled=passage.recalled or passage.dialogue is not None)
            with self.meter.admit(_subject(passage), bytes_in=passage.bytes_in, again=passage.recalled):
                await self._books.begun(passage, self._last_checks(passage))
                return await self._carry_out(replace(passage, sent=time.monotonic()))
        except LgError as error:
            await self._books.refused(passage, error)
            return refusal(error, self._masker)

    def visible(self, identity: str) -> list[CatalogEntry]:
        """Return the tools that an identity may know of, in order."""
        rules = self._policy().rules
        return [entry for entry in self._catalog.entries() if rules.visible(identity=identity, facts=entry.facts)]

    async def _find(self, call: Call) -> CatalogEntry:
        entry = self._catalog.find(call.name)
        if entry is None or not self._policy().rules.visible(identity=call.identity, facts=entry.facts):
            await self._books.unknown_tool(call)
            raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {call.name[:200]}")
        return entry

    async def _read(self, passage: Passage) -> Passage:
        """Marks, size, schema, masks: what can be said of the call without knowing who may do what."""
        passage = self._books.describe(passage)
        passage = replace(passage, marks=read_marks(passage.call.meta))
        limit = self._policy().settings.gateway.arguments_max_bytes
        if passage.bytes_in > limit:
            raise TooLarge(f"the arguments have {passage.bytes_in} bytes; the limit is {limit}")
        await passage.entry.check.checked(passage.call.arguments)
        marker = find_marker(passage.call.arguments)
        if marker is not None:
            raise InvalidArguments(
                f"the arguments contain {marker}, which stands for a value that was hidden",
                hint="leave that part of the text as it is, or read it from where the real value is",
            )
        return passage

    def _decide(self, passage: Passage) -> Passage:
        decision = self._policy().rules.decide(
            identity=passage.call.identity, facts=passage.entry.facts, arguments=passage.call.arguments
        )
        if decision.effect is Effect.DENY:
            raise PolicyDenied(f"{decision.reason} ({decision.rule})")
        if decision.rule.startswith("default:") and passage.is_preview():
            decision = Decision(effect=Effect.ALLOW, rule="default:preview", reason="only shows what would be done")
        return replace(passage, decision=decision)

    async def _permit(self, passage: Passage) -> Passage | Answer:
        """Ask a human where policy says so; a repeated call was permitted when it was begun."""
        if passage.recalled or passage.decision is None or passage.decision.effect is Effect.ALLOW:
            return passage
        try:
            answer = await self._gate.permit(passage, self._preview)
        except ApprovalDenied:
            if passage.dialogue is not None:
                await self._conversations.close(passage.dialogue)
            raise
        if isinstance(answer, t.InputRequiredResult):
            await self._books.asked(passage)
        elif isinstance(answer, t.CallToolResult):
            await self._books.ended(passage, "refused", code=error_code(answer), detail="its preview failed")
        return answer

    def _last_checks(self, passage: Passage) -> Callable[[Tx], None]:
        """What must hold in the transaction that begins the call: nothing has changed since it was permitted."""

        def check(tx: Tx) -> None:
            now = time.time()
            if passage.call.standing is not None:
                passage.call.standing(tx)
            self._decide_again(passage)
            current = self._catalog.find(passage.entry.name)
            if current is None or not current.same_tool(passage.entry):
                raise Conflict("the tool has changed since the call was made", hint="list the tools again")
            effects.check_epoch(tx, passage, now)
            if passage.approval_id is not None and passage.approval_id.startswith("ap-") and not passage.recalled:
                self._approvals.use(tx, passage.approval_id, passage.binding(), now)
            elif passage.approval_id is not None and not passage.recalled and self._gate.grant_of(tx, passage) is None:
                raise Conflict("the approval for this run has ended", hint="make the call again to be asked again")
            effects.claim(tx, passage, this_process(), now)
            budgets.charge(tx, passage, self._policy().settings.gateway.run_budget, now)
            self._conversations.check(tx, passage)

        return check

    def _decide_again(self, passage: Passage) -> None:
        """Policy at the last moment: a denial wins, and so does a rule that has come to ask, or to ask an operator."""
        before, now = passage.decision, self._decide(passage).decision
        if before is None or now is None or passage.recalled or now.effect is Effect.ALLOW:
            return
        if before.effect is Effect.ALLOW or (now.approver == "operator" and before.approver != "operator"):
            raise Conflict("the rules have changed since the call was made", hint="make the call again")

    async def _preview(self, passage: Passage) -> Preview | None:
        """Have a trusted server say what the call would do. Recorded like any call."""
        if passage.entry.preview is None:
            return None
        trial = replace(
            passage,
            call=replace(passage.call, arguments=passage.call.arguments | dict(passage.entry.preview), asking="none"),
            request_id=new_request_id(),
            marks=replace(passage.marks, key=None),
        )
        await self._books.begun(trial, lambda _tx: None)
        try:
            answer = await self._send(trial)
        except LgError as error:
            await self._books.ended(trial, "error", code=error.code, detail=error.message)
            raise
        if not isinstance(answer, t.CallToolResult):
            raise Internal(f"the preview of {passage.entry.name} asked a question of its own")
        await self._books.ended(trial, "error" if answer.is_error else "preview", code=error_code(answer))
        return as_preview(answer)

    async def _carry_out(self, passage: Passage) -> Answer:
        """Send, shape, record. From here on the call may have had an effect."""
        ended = self._in_flight[passage.request_id] = anyio.Event()
        try:
            return await self._to_its_end(passage)
        finally:
            del self._in_flight[passage.request_id]
            ended.set()

    async def _to_its_end(self, passage: Passage) -> Answer:
        try:
            answer = await self._send(passage)
        except LgError as error:
            return await self._failed(passage, error)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(RECORD_GRACE_S):
                await self._books.ended(passage, "cancelled")
            raise
        if isinstance(answer, t.InputRequiredResult):
            await self._books.asked(passage, f"by {passage.entry.server.name}")
            return answer
        return await self._finish(passage, answer)

    async def _left(self, passage: Passage, outcome: Outcome) -> None:
        """Record the outcome of a call whose caller did not come back for it."""
        if isinstance(outcome, t.CallToolResult):
            await self._finish(passage, outcome)
        elif isinstance(outcome, LgError):
            await self._failed(passage, outcome)
        elif isinstance(outcome, MCPError):
            await self._failed(passage, upstream_refusal(passage.entry.server.name, outcome))

    async def _failed(self, passage: Passage, error: LgError) -> t.CallToolResult:
        result, seconds = refusal(error, self._masker), passage.took_s()
        self.meter.took(_subject(passage), bytes_out=0, seconds=seconds)
        ended = not isinstance(error, OutcomeUnknown | CallTimeout | UpstreamUnavailable)

        def along(tx: Tx) -> None:
            if isinstance(error, UpstreamUnavailable) and not passage.recalled:
                # Of one that is made again the first try may have had its effect: that key stays known.
                effects.release(tx, passage)
            elif ended:
                effects.settle(tx, passage)
            budgets.settle(tx, passage, bytes_out=0, seconds=seconds)

        kept = self._kept(result) if ended else None
        outcome = "unknown" if isinstance(error, OutcomeUnknown) else "error"
        await self._books.ended(passage, outcome, code=error.code, kept=kept, detail=error.message, along=along)
        return result

    def _kept(self, result: t.CallToolResult, size: int | None = None) -> KeptOutcome:
        return as_outcome(result, size, self._policy().settings.ledger.outcome_max_bytes)

    async def _send(self, passage: Passage) -> Answer:
        entry, call = passage.entry, passage.call
        upstream = self._upstreams.get(entry.server.name)
        if upstream is None:
            raise UpstreamUnavailable(f"server {entry.server.name} was removed from the settings")
        marks = replace(passage.marks, key=effects.outward_key(passage))
        sent = UpstreamCall(
            tool=entry.tool,
            arguments=passage.sent_arguments(),
            meta=forwarded_meta(call.meta, marks, trusted=entry.server.trusted),
            timeout_s=self.meter.timeout_s(_subject(passage), entry.server.call_timeout_s),
            repeatable=entry.read_only,
            progress=Thinned(call.progress) if call.progress is not None else None,
        )
        try:
            return await self._conversations.carry(passage, upstream, sent, partial(self._left, passage))
        except MCPError as error:
            raise upstream_refusal(entry.server.name, error) from error

    async def _finish(self, passage: Passage, answer: t.CallToolResult) -> t.CallToolResult:
        settings = self._policy().settings.gateway
        result = tidy(answer, passage.entry)
        if masks(settings.mask_results, passage.entry):
            result = masked(result, self._masker)
        kept = self._kept(result)
        seconds, limit = passage.took_s(), settings.result_max_bytes
        self.meter.took(_subject(passage), bytes_out=kept.size, seconds=seconds)
        if kept.size > limit:
            result_id = await self._keep(passage, result)
            result = cut(result, passage.entry, limit=limit, actual=kept.size, result_id=result_id)
            kept = self._kept(result, kept.size)

        def along(tx: Tx) -> None:
            effects.settle(tx, passage)
            budgets.settle(tx, passage, bytes_out=kept.size, seconds=seconds)

        outcome = "error" if result.is_error else "ok"
        written = await self._books.ended(passage, outcome, code=error_code(result), kept=kept, along=along)
        if not written:
            result = result.model_copy(update={"meta": (result.meta or {}) | {"lg/unrecorded": True}})
        return result

    async def _keep(self, passage: Passage, result: t.CallToolResult) -> str | None:
        """Keep what does not fit, for its caller to read on; `None` when that is impossible."""
        text, identity, trusted = whole_text(result), passage.call.identity, passage.entry.server.trusted
        try:
            return await self._store.write(lambda tx: keep(tx, identity, text, time.time(), trusted=trusted))
        except StoreError:
            log.exception("a long answer could not be kept")
            return None


def _subject(passage: Passage) -> Subject:
    return Subject(identity=passage.call.identity, server=passage.entry.server.name, tool=passage.entry.name)


def internal_failure(error: BaseException) -> t.CallToolResult:
    """Log an exception nobody expected and return a result that says nothing about it."""
    log.error("a call failed inside the gateway", exc_info=error)
    return refusal(Internal("the gateway failed; its log says more"))
