"""Writes into the chain which rows exist outside it, so that no one can remove or restore a row unnoticed.

A subject is the name of such rows: the pins of a server, a token, a grant, a question. Its newest note in the chain
says how they stand. When that note is sealed away, the record of the sealing says it again, so that the newest note
about a subject is always in the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lg_gateway.store.interface import Tx

PINS, TOKEN, GRANT = "pins ", "tok-", "gr-"
HALT = "halt"
"""The subject of the notes that stop all calls and let them begin again. There are no rows beside them."""
CARRIED = "segment sealed"
"""The subject of the record of a sealing: its arguments are the notes that it says again, by subject."""
CARRIED_DAYS = 1
"""Days for which notes about grants are said again: a grant counts for hours."""
_PARTS = ("time", "outcome", "detail")

Records = Callable[[Tx, str], list[dict[str, Any]]]
"""Returns the genuine records of a call or about a subject, in order."""


def newest_note(tx: Tx, subject: str, records_of: Records) -> dict[str, Any] | None:
    """Return time, outcome and detail of the newest note about a subject, `None` where there is none."""
    notes = [record for record in records_of(tx, subject) if record["phase"] == "note"]
    if notes:
        return {name: notes[-1][name] for name in _PARTS}
    return _carried(tx, records_of).get(subject)


def leaving_notes(tx: Tx, last: int, records_of: Records) -> dict[str, dict[str, Any]]:
    """Return the notes, by subject, that the store loses with all records up to `last`."""
    rows = tx.execute(
        "SELECT DISTINCT request_id FROM ledger WHERE seq <= ? AND (request_id LIKE 'pins %'"
        " OR request_id LIKE 'tok-%' OR request_id LIKE 'gr-%' OR request_id = 'halt')",
        (last,),
    )
    young = (datetime.now(UTC) - timedelta(days=CARRIED_DAYS)).isoformat()
    found = _carried(tx, records_of) | {str(subject): newest_note(tx, str(subject), records_of) for (subject,) in rows}
    return {
        subject: note
        for subject, note in sorted(found.items())
        if note is not None and (not subject.startswith(GRANT) or str(note["time"]) >= young)
    }


def _carried(tx: Tx, records_of: Records) -> dict[str, dict[str, Any]]:
    sealings = records_of(tx, CARRIED)
    notes: dict[str, dict[str, Any]] = json.loads(sealings[-1]["arguments"]) if sealings else {}
    return notes


def subjects(tx: Tx, beginning: str, records_of: Records) -> list[str]:
    """Return the subjects that the store has a note about and that begin so, in order."""
    rows = tx.execute("SELECT DISTINCT request_id FROM ledger WHERE request_id LIKE ?", (f"{beginning}%",))
    names = {str(name) for (name,) in rows} | _carried(tx, records_of).keys()
    return sorted(name for name in names if name.startswith(beginning))
