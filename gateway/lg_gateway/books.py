"""The ledger as the pipeline uses it: masked and digested arguments, begun before, ended after, refusals once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lg_gateway.call import Call, Passage, new_request_id
from lg_gateway.canonical import canonical, keyed_digest
from lg_gateway.ledger import Entry, Ledger
from lg_gateway.store import Store, StoreError, Tx
from lg_policy.errors import Internal, InvalidArguments, LgError
from lg_policy.limits import cut_text
from lg_policy.redact import Masker

log = logging.getLogger(__name__)

ARGUMENT_BYTES = 8_000
DETAIL_BYTES = 500


class Books:
    """Writes one call's records. `key` makes argument digests that only its holder can match against a guess."""

    def __init__(self, store: Store, ledger: Ledger, masker: Masker, key: bytes) -> None:
        self._store = store
        self._ledger = ledger
        self._masker = masker
        self._key = key

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
        data: bytes | None = None,
        detail: str = "",
        along: Callable[[Tx], None] | None = None,
    ) -> bool:
        """Record the outcome; return whether it could be written. The call has happened, so this never raises.

        `along` is written in the same transaction.
        """
        entry = replace(
            self._entry(passage, phase="ended"),
            outcome=outcome,
            error_code=code,
            duration_ms=passage.elapsed_ms(),
            bytes_out=len(data) if data is not None else None,
            result_digest=hashlib.sha256(data).hexdigest() if data is not None else None,
            detail=self._detail(detail),
        )
        return await self._try(entry, along)

    async def refused(self, passage: Passage, error: LgError) -> None:
        """Record a call that was not made. That nothing happened holds even when this cannot be written."""
        entry = replace(
            self._entry(passage, phase="ended"),
            outcome="refused",
            error_code=error.code,
            duration_ms=passage.elapsed_ms(),
            detail=self._detail(error.message),
        )
        await self._try(entry)

    async def unknown_tool(self, call: Call) -> None:
        """Record a call of something that does not exist, or not for this caller."""
        name, _ = cut_text(self._masker.mask(call.name), DETAIL_BYTES)
        await self._try(
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
