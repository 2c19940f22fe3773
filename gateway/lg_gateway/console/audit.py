"""The ledger of a gateway, for the console: calls in pages, one call whole, the state of the chain, an export."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import islice

from lg_console.sources.ledger import PAGE, CallPage, CallsWanted, ChainState, LedgerCall, WholeCall
from lg_gateway.approvals.records import SHOWN, ApprovalTable
from lg_gateway.ledger.head import Head
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Store, Tx
from lg_gateway.views.calls import NOTE, newest_calls
from lg_gateway.views.description import described
from lg_gateway.views.export import export_lines
from lg_gateway.views.found import QUESTION, found_records
from lg_gateway.views.records import Filter, glob, moment
from lg_policy.errors import TooLarge
from lg_policy.terminal_rows import relaid

COLUMNS = 100
EXPORT_LINES = 100_000
WHOLE_CHECK_S = 3_600.0
"""How often the whole chain is checked; between, only what is new."""


class GatewayAudit:
    """Reads one ledger."""

    def __init__(self, store: Store, ledger: Ledger, approvals: ApprovalTable) -> None:
        self._store = store
        self._ledger = ledger
        self._approvals = approvals
        self._checked: Head | None = None
        self._checked_at = -WHOLE_CHECK_S
        self._remarks: tuple[str, ...] = ()

    async def calls(self, wanted: CallsWanted) -> CallPage:
        """Return one page of calls, newest first."""
        chosen, before = _filter(wanted), wanted.before if wanted.before is not None else 2**62
        rows = await self._store.read(lambda tx: newest_calls(tx, chosen, PAGE, before))
        calls = [
            LedgerCall(
                seq=row.seq,
                id=row.id.removeprefix(NOTE),
                time=row.time,
                who=row.caller,
                tool=row.tool,
                about=row.about,
                decision=row.decision,
                outcome=row.outcome,
                note=row.id.startswith(NOTE),
            )
            for row in reversed(rows)
        ]
        return CallPage(calls=tuple(calls), older=calls[-1].seq if len(calls) >= PAGE else None)

    async def call(self, named: str) -> WholeCall | None:
        """Return all that is recorded of one call, or about a question."""
        return await self._store.read(lambda tx: self._whole(tx, named[:100]))

    async def chain(self) -> ChainState:
        """Check what is new since the last check, from time to time everything, and say how the chain stands."""
        since = self._checked if time.monotonic() - self._checked_at < WHOLE_CHECK_S else None
        state = await self._store.read(lambda tx: self._examined(tx, since))
        if state.problems:
            self._checked = None
        elif since is None:
            self._checked_at = time.monotonic()
        return state

    async def export(self, wanted: CallsWanted) -> AsyncIterator[str]:
        """Return the lines of an export."""
        chosen = _filter(wanted)

        def written(tx: Tx) -> list[str]:
            lines = list(islice(export_lines(tx, self._ledger, chosen), EXPORT_LINES + 1))
            if len(lines) > EXPORT_LINES:
                raise TooLarge(
                    f"the export has more than {EXPORT_LINES} records",
                    hint="filter it, or use `lg-gateway audit export`",
                )
            return lines

        for line in await self._store.read(written):
            yield line

    def _examined(self, tx: Tx, since: Head | None) -> ChainState:
        verdict = self._ledger.examine(tx, since)
        head = self._ledger.head.read() if not verdict.problems else None
        if not verdict.problems:
            self._checked = verdict.head
        if since is None:
            self._remarks = tuple(verdict.remarks)
        return ChainState(
            records=verdict.records,
            verified=verdict.head.seq if verdict.head is not None else 0,
            signed=head.seq if head is not None else 0,
            signed_at=self._signed_at(),
            problems=tuple(problem.text() for problem in verdict.problems),
            remarks=self._remarks,
        )

    def _signed_at(self) -> float | None:
        try:
            return self._ledger.head.path.stat().st_mtime
        except OSError:
            return None

    def _whole(self, tx: Tx, named: str) -> WholeCall | None:
        records = found_records(tx, named)
        if not records:
            return None
        asked = {str(record.get("approval_id")) for record in records if record.get("approval_id")}
        question = next((found for found in sorted(asked) if QUESTION.fullmatch(found)), "")
        return WholeCall(
            id=named,
            text="\n".join(described(tx, records, COLUMNS)),
            records=tuple(records),
            question=self._question(tx, question) if question else "",
        )

    def _question(self, tx: Tx, question_id: str) -> str:
        """Return the text of a question, if it is kept and its digest is in the ledger."""
        approval = self._approvals.get(tx, question_id, time.time())
        if approval is None:
            return ""
        digest = self._approvals.text_digest(approval)
        noted = [str(record.get("detail")) for record in found_records(tx, question_id)]
        known = any(SHOWN in detail and detail.endswith(digest) for detail in noted)
        return relaid(approval.whole(), COLUMNS) if known else ""


def _filter(wanted: CallsWanted) -> Filter:
    now = datetime.now(UTC)
    return Filter(
        identity=glob(wanted.who),
        tool=glob(wanted.tool),
        outcome=wanted.outcome or None,
        run=wanted.run or None,
        since=moment(wanted.since, "since", now) if wanted.since else None,
        until=moment(wanted.until, "until", now) if wanted.until else None,
    )
