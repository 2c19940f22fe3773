"""The ledger as the pipeline uses it: masked and digested arguments, begun before, ended after, refusals once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lg_gateway.call import Call, Passage, new_request_id
from lg_gateway.canonical import canonical, keyed_digest
from lg_gateway.floods import Floods
from lg_gateway.ledger import Entry, Ledger
from lg_gateway.outcomes import Outcome, OutcomeBook
from lg_gateway.store import Store, StoreError, Tx
from lg_policy.config.settings import LedgerSettings
from lg_policy.errors import Internal, InvalidArguments, LgError
from lg_policy.limits import cut_text
from lg_policy.secrets.masking import Masker

log = logging.getLogger(__name__)

ARGUMENT_BYTES = 8_000
DETAIL_BYTES = 500
_SAME_CALL = ("identity", "run_id", "idempotency_key", "tool", "arguments_digest")


class Books:
    """Writes one call's records. `key` makes argument digests that only its holder can match against a guess."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        masker: Masker,
        key: bytes,
        *,
        outcomes: OutcomeBook,
        settings: Callable[[], LedgerSettings],
    ) -> None:
        self.outcomes = outcomes
        self._store = store
        self._ledger = ledger
        self._masker = masker
        self._key = key
        self._settings = settings
        self._floods = Floods()

    def describe(self, passage: Passage) -> Passage:
        """Digest and mask the arguments. Raises `InvalidArguments` for what JSON cannot say."""
        arguments = passage.call.arguments
        try:
            size = len(canonical(arguments))
            digest = keyed_digest(self._key, arguments)
        except (ValueError, RecursionError) as error:
            raise InvalidArguments(f"the arguments are not plain JSON: {error}") from error
        masked, was_cut = cut_text(json.dumps(self._masker.mask_json(arguments), sort_keys=True), ARGUMENT_BYTES)
        return replace(
            passage,
            arguments_digest=digest,
            arguments_masked=masked + (" …cut" if was_cut else ""),
            bytes_in=size,
        )

    async def begun(self, passage: Passage, checks: Callable[[Tx], None]) -> None:
        """Record that the call is about to leave; durable on return. Raises `Internal` when that is impossible.

        `checks` run in the same transaction: what they raise undoes it, and the call is not made.
        """
        entry = self._entry(passage, phase="begun")

        def begin(tx: Tx) -> None:
            checks(tx)
            self._ledger.append(tx, entry)

        try:
            await self._store.write(begin)
        except StoreError as error:
            raise Internal("the call was not made, because the ledger cannot be written") from error

    async def ended(
        self,
        passage: Passage,
        outcome: str,
        *,
        code: str | None = None,
        kept: Outcome | None = None,
        detail: str = "",
        along: Callable[[Tx], None] | None = None,
    ) -> bool:
        """Record the outcome; return whether it could be written. The call has happened, so this never raises.

        `kept` is its result; `along` is written in the same transaction.
        """
        entry = replace(
            self._entry(passage, phase="ended"),
            outcome=outcome,
            error_code=code,
            duration_ms=passage.elapsed_ms(),
            bytes_out=kept.size if kept is not None else None,
            result_digest=kept.digest() if kept is not None else None,
            detail=self._detail(detail),
        )

        def besides(tx: Tx) -> None:
            if along is not None:
                along(tx)
            if kept is not None and (passage.marks.key is not None or self._settings().outcomes == "all"):
                self.outcomes.keep(tx, passage.request_id, kept.text, time.time())

        return await self._try(entry, besides)

    async def refused(self, passage: Passage, error: LgError) -> None:
        """Record a call that was not made. That nothing happened holds even when this cannot be written."""
        entry = replace(
            self._entry(passage, phase="ended"),
            outcome="refused",
            error_code=error.code,
            duration_ms=passage.elapsed_ms(),
            detail=self._detail(error.message),
        )
        await self._counted(entry)

    async def unknown_tool(self, call: Call) -> None:
        """Record a call of something that does not exist, or not for this caller."""
        name, _ = cut_text(self._masker.mask(call.name), DETAIL_BYTES)
        await self._counted(
            Entry(
                phase="ended",
                identity=call.identity,
                client=call.client,
                request_id=new_request_id(),
                tool=name,
                outcome="refused",
                error_code="not_found",
            )
        )

    async def asked(self, passage: Passage, detail: str = "") -> None:
        """Record that the caller got a question instead of an answer."""
        entry = replace(
            self._entry(passage, phase="ended"),
            outcome="asked",
            duration_ms=passage.elapsed_ms(),
            detail=self._detail(detail),
        )
        await self._counted(entry)

    def begun_as(self, tx: Tx, passage: Passage, request_id: str) -> dict[str, Any] | None:
        """Return the `begun` record of an earlier call; `None` when the ledger does not have it (any more).

        Raises `StoreError` when that call was another one than this: the store says so, and not the chain.
        """
        begun = [record for record in self._ledger.records_of(tx, request_id) if record["phase"] == "begun"]
        now = self._entry(passage, phase="begun")
        for record in begun:
            if all(record[name] == getattr(now, name) for name in _SAME_CALL):
                return record
        if begun:
            raise StoreError("what the store says of this idempotency key was not written by this gateway")
        return None

    async def end_floods(self, *, everything: bool = False) -> None:
        """Record what was only counted in minutes that are over, or altogether."""
        for entry in self._floods.drain(time.monotonic(), everything=everything):
            await self._try(entry)

    async def _counted(self, entry: Entry) -> None:
        if self._floods.admit(entry, limit=self._settings().refusals_a_minute, now=time.monotonic()):
            await self._try(entry)

    async def note(self, outcome: str, detail: str, identity: str = "") -> bool:
        """Record an event that is no call."""
        return await self._try(Entry(phase="note", identity=identity, outcome=outcome, detail=self._detail(detail)))

    async def _try(self, entry: Entry, along: Callable[[Tx], None] | None = None) -> bool:
        def write(tx: Tx) -> None:
            if along is not None:
                along(tx)
            self._ledger.append(tx, entry)

        try:
            await self._store.write(write)
        except StoreError:
            log.exception("a ledger record could not be written: %s %s %s", entry.phase, entry.tool, entry.outcome)
            return False
        return True

    def _detail(self, text: str) -> str | None:
        return cut_text(self._masker.mask(text), DETAIL_BYTES)[0] or None

    def _entry(self, passage: Passage, *, phase: Any) -> Entry:
        decision = passage.decision
        return Entry(
            phase=phase,
            identity=passage.call.identity,
            client=passage.call.client,
            request_id=passage.request_id,
            trace_id=passage.marks.trace_id,
            run_id=passage.marks.run_id,
            idempotency_key=passage.marks.key,
            server=passage.entry.server.name,
            tool=passage.entry.name,
            arguments_digest=passage.arguments_digest,
            arguments=passage.arguments_masked if phase == "begun" or decision is None else "",
            rule=decision.rule if decision else "",
            effect=str(decision.effect) if decision else "",
            approval_id=passage.approval_id,
            bytes_in=passage.bytes_in,
            tool_pin=passage.entry.definition_digest,
        )
