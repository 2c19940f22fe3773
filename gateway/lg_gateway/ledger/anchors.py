"""What the chain says about rows outside it, so that a row cannot be removed or put back as it once was unnoticed.

A subject is the name of such rows: the pins of a server, a token, a grant, a question. Its newest note in the chain
says how they stand. When the record of that note is sealed away, the note is written again, so that the newest note
about a subject is always in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from lg_gateway.ledger.ledger import Ledger, LedgerEntry, stamp
from lg_gateway.store.interface import Tx

PINS, TOKEN, GRANT = "pins ", "tok-", "gr-"
SHORT_LIVED = (GRANT,)
"""Subjects whose rows count for hours: their notes are carried on for a day only."""
CARRIED_DAYS = 1


def carry_forward(tx: Tx, ledger: Ledger, last: int, now: datetime | None = None) -> int:
    """Write again every newest note about a subject that is about to leave the store; return how many.

    `last` is the newest record that leaves.
    """
    rows = tx.execute(
        "SELECT request_id, max(seq) FROM ledger WHERE request_id LIKE 'pins %' OR request_id LIKE 'tok-%'"
        " OR request_id LIKE 'gr-%' GROUP BY request_id HAVING max(seq) <= ? ORDER BY max(seq)",
        (last,),
    )
    young = stamp((now or datetime.now(UTC)) - timedelta(days=CARRIED_DAYS))
    carried = 0
    for subject, _ in rows:
        note = ledger.newest_note(tx, str(subject))
        if note is None or (str(subject).startswith(SHORT_LIVED) and str(note["time"]) < young):
            continue
        ledger.append(tx, _again(note))
        carried += 1
    return carried


def _again(note: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(**{field.name: note[field.name] for field in fields(LedgerEntry) if field.name in note})
