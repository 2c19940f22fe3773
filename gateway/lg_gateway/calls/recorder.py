"""Writes calls to the ledger: `begun` before a call is sent, `ended` after it, or one record for a refusal."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as t

from lg_gateway.calls.call import Call, CallContext, new_request_id
from lg_gateway.calls.in_thread import beginning
from lg_gateway.catalog.entry import Entry
from lg_gateway.elicitation.pending_questions import PendingQuestions
from lg_gateway.ledger.anchors import GOES_ON
from lg_gateway.ledger.flood_summary import FloodSummary
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.ledger.outcomes import Outcome, OutcomeTable
from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.interface import Store, StoreEdited, StoreError, Tx
from lg_gateway.upstreams.replies import RelayedResult
from lg_policy.config.settings import LedgerSettings
from lg_policy.errors import Internal, InvalidArguments, LgError
from lg_policy.limits import cut_text
from lg_policy.secrets.masking import Masker

log = logging.getLogger(__name__)

ARGUMENT_BYTES = 8_000
SECRET_CHARACTERS = 8_000
DETAIL_BYTES = 500
RECORD_GRACE_S = 15.0
"""How long a record may still take when the call's own task is cancelled."""
_SORTED = json.JSONEncoder(sort_keys=True)
_SAME_CALL = ("identity", "run_id", "idempotency_key", "tool", "arguments_digest")

Also = Callable[[Tx, t.CallToolResult | None], None]
"""Writes along with the end of a call."""


Observe = Callable[[CallContext | None, LedgerEntry], None]
"""Hears of each call that has ended, with its last record. Without a context its tool was not found."""


def _beginning(arguments: Any) -> Any:
    return beginning(arguments, ARGUMENT_BYTES + SECRET_CHARACTERS)


def no_more(_tx: Tx, _result: t.CallToolResult | None) -> None:
    """Write nothing more."""


def notes_of(answer: t.CallToolResult, entry: Entry) -> str:
    """Return what the record of an answer says besides: what the gateway found wrong, how a command failed."""
    misfit = answer.misfit if isinstance(answer, RelayedResult) else ""
    structured = answer.structured_content if entry.server.trusted else None
    status = structured.get("exit_code") if isinstance(structured, dict) else None
    failed = f"exit status {status}" if type(status) is int and status else ""
    return "; ".join(filter(None, [misfit, failed]))


class LedgerRecorder:
    """Writes the records of calls. `key` keys the digests of arguments: without it, no one can test a guess."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        masker: Masker,
        key: bytes,
        *,
        outcomes: OutcomeTable,
        settings: Callable[[], LedgerSettings],
    ) -> None:
        self.outcomes = outcomes
        self._store = store
        self._ledger = ledger
        self._masker = masker
        self._key = key
        self._settings = settings
        self._flood_summary = FloodSummary()
        self.observe: Observe | None = None

    def describe(self, context: CallContext, arguments: dict[str, Any]) -> CallContext:
        """Return the call with these arguments, digested and masked.

        Raises `InvalidArguments` for what JSON cannot say.
        """
        try:
            plain = canonical(arguments)
        except (ValueError, RecursionError) as error:
            raise InvalidArguments(f"the arguments are not plain JSON: {error}") from error
        # Cut before it is masked: a caller whose call is refused must not make the gateway work on megabytes. A secret
        # that begins before the cut is seen whole.
        size, digest = len(plain), keyed_hex(self._key, plain)
        seen = self._masker.mask_json(arguments if size <= ARGUMENT_BYTES else _beginning(arguments))
        masked, was_cut = cut_text(_SORTED.encode(seen), ARGUMENT_BYTES)
        was_cut = was_cut or size > ARGUMENT_BYTES + SECRET_CHARACTERS
        return context.but(
            call=context.call.but(arguments=arguments),
            arguments_digest=digest,
            arguments_masked=masked + (" …cut" if was_cut else ""),
            bytes_in=size,
        )

    async def begun(
        self, context: CallContext, checks: Callable[[Tx], None], halted: Callable[[Tx], None] | None = None
    ) -> None:
        """Record that the call is about to be sent. Raises `Internal` if it cannot be recorded.

        The record of a call that may change something is on the disk on return. `checks` run in the same transaction.
        If they raise, nothing is recorded and the call is not made. `halted` does the same, after it is known whether
        others have written to the ledger.
        """
        goes_on = f"{GOES_ON} {context.pending.round}" if context.pending is not None else None
        entry = self._entry(context, phase="begun", detail=goes_on)

        def begin(tx: Tx) -> None:
            checks(tx)
            self._ledger.append(tx, entry)
            if halted is not None:
                halted(tx)

        try:
            await self._store.write(begin, durable=not context.entry.read_only)
        except StoreError as error:
            why = str(error) if isinstance(error, StoreEdited) else "the ledger cannot be written"
            raise Internal(
                f"the call was not made, because {why}",
                hint="the gateway's log says why, and so does `lg-gateway audit verify`",
            ) from error

    async def ended(
        self,
        context: CallContext,
        outcome: str,
        *,
        code: str | None = None,
        kept: Outcome | None = None,
        detail: str = "",
        along: Callable[[Tx], None] | None = None,
    ) -> bool:
        """Record the outcome; return whether that worked. The call has happened, so this never raises.

        `kept` is its result; `along` is written in the same transaction.
        """
        entry = self._entry(
            context,
            phase="ended",
            outcome=outcome,
            error_code=code,
            duration_ms=context.elapsed_ms(),
            bytes_out=kept.size if kept is not None else None,
            result_digest=kept.digest() if kept is not None else None,
            detail=self._detail(detail),
        )
        if self.observe is not None:
            self.observe(context, entry)

        def besides(tx: Tx) -> None:
            if along is not None:
                along(tx)
            if kept is not None and (context.metadata.key is not None or self._settings().outcomes == "all"):
                self.outcomes.keep(tx, context.request_id, kept.text, time.time())

        return await self._try(entry, besides, durable=context.metadata.key is not None)

    async def cancelled(self, context: CallContext) -> None:
        """Record that a call was cut off, though its task is cancelled."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(RECORD_GRACE_S):
            await self.ended(context, "cancelled")

    async def refused(self, context: CallContext, error: LgError) -> None:
        """Record a call that was not made. A record that cannot be written is only logged: nothing has happened."""
        entry = self._entry(
            context,
            phase="ended",
            outcome="refused",
            error_code=error.code,
            duration_ms=context.elapsed_ms(),
            detail=self._detail(error.message),
        )
        await self._counted(entry, context)

    async def unknown_tool(self, call: Call) -> None:
        """Record a call of a tool that does not exist, or that this caller cannot see."""
        name, _ = cut_text(self._masker.mask(call.name), DETAIL_BYTES)
        await self._counted(
            LedgerEntry(
                phase="ended",
                identity=call.identity,
                client=call.client,
                request_id=new_request_id(),
                tool=name,
                outcome="refused",
                error_code="not_found",
            )
        )

    async def asked(self, context: CallContext, detail: str = "") -> None:
        """Record that the caller got a question instead of an answer."""
        entry = self._entry(
            context,
            phase="ended",
            outcome="asked",
            duration_ms=context.elapsed_ms(),
            detail=self._detail(detail),
        )
        await self._counted(entry, context)

    def begun_as(self, tx: Tx, context: CallContext, request_id: str) -> dict[str, Any] | None:
        """Return the `begun` record of an earlier call; `None` when the ledger does not have it (any more).

        Raises `StoreError` when that call was another one than this: the store says so, and not the chain.
        """
        begun = [record for record in self._ledger.records_of(tx, request_id) if record["phase"] == "begun"]
        now = self._entry(context, phase="begun")
        for record in begun:
            if all(record[name] == getattr(now, name) for name in _SAME_CALL):
                return record
        if begun:
            raise StoreEdited("what the store says of this idempotency key was not written by this gateway")
        return None

    def went_on(self, tx: Tx, pending: PendingQuestions) -> bool:
        """Whether a call has gone on from its open question: the row is an older copy that somebody put back.

        The chain's own list of such records cannot be hidden. Records of an earlier version are in no list: they are
        counted by their column.
        """
        records = self._ledger.records_of(tx, pending.request_id)
        begun = sum(record["phase"] == "begun" for record in records)
        return begun > pending.round or self._ledger.notes.went_on(tx, pending.request_id, pending.noted)

    async def end_floods(self, *, everything: bool = False) -> None:
        """Record the refusals that were only counted, of minutes that are over, or of all."""
        for entry in self._flood_summary.drain(time.monotonic(), everything=everything):
            await self._try(entry)

    async def _counted(self, entry: LedgerEntry, context: CallContext | None = None) -> None:
        if self.observe is not None:
            self.observe(context, entry)
        if self._flood_summary.admit(entry, limit=self._settings().refusals_a_minute, now=time.monotonic()):
            await self._try(entry, durable=entry.outcome != "refused")

    async def note(self, outcome: str, detail: str, identity: str = "") -> bool:
        """Record an event that is no call."""
        return await self._try(
            LedgerEntry(phase="note", identity=identity, outcome=outcome, detail=self._detail(detail))
        )

    async def _try(
        self, entry: LedgerEntry, along: Callable[[Tx], None] | None = None, *, durable: bool = True
    ) -> bool:
        def write(tx: Tx) -> None:
            if along is not None:
                along(tx)
            self._ledger.append(tx, entry)

        try:
            await self._store.write(write, durable=durable)
        except StoreError as error:
            what = f"{entry.phase} {entry.tool} {entry.outcome}"
            log.error("a ledger record could not be written: %s: %s", what, error)  # noqa: TRY400  the message has the cause; a traceback hides it
            return False
        return True

    def _detail(self, text: str) -> str | None:
        return cut_text(self._masker.mask(text), DETAIL_BYTES)[0] or None if text else None

    def _entry(self, context: CallContext, *, phase: Any, **more: Any) -> LedgerEntry:
        decision = context.decision
        return LedgerEntry(
            phase=phase,
            identity=context.call.identity,
            client=context.call.client,
            request_id=context.request_id,
            trace_id=context.metadata.trace_id,
            run_id=context.metadata.run_id,
            idempotency_key=context.metadata.key,
            server=context.entry.server.name,
            tool=context.entry.name,
            arguments_digest=context.arguments_digest,
            arguments=context.arguments_masked if phase == "begun" or decision is None else "",
            rule=decision.rule if decision else "",
            effect=str(decision.effect) if decision else "",
            approval_id=context.approval_id,
            bytes_in=context.bytes_in,
            tool_pin=context.entry.definition_digest,
            upstream_login=context.login or None,
            **more,
        )
