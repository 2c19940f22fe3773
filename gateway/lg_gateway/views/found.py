"""Finds the records of one call, or about one question, by what a person types."""

from __future__ import annotations

import json
import re
from typing import Any

from lg_gateway.store.interface import Row, Tx
from lg_gateway.views.calls import OF_CALL
from lg_gateway.views.records import CALL_DIGITS

QUESTION = re.compile(r"ap-[a-z0-9]{1,20}")
_CALL_START = re.compile(rf"[0-9a-f]{{{CALL_DIGITS},24}}")


def found_records(tx: Tx, named: str) -> list[dict[str, Any]]:
    """Return the records with a number, of a call, or about a question."""
    if QUESTION.fullmatch(named):
        about = (f'%"approval_id":"{named}"%',)
        rows = tx.execute("SELECT record FROM ledger WHERE record LIKE ? ORDER BY seq", about)
    else:
        number = int(named) if named.isdecimal() and len(named) < 18 else -1
        rows = tx.execute("SELECT record FROM ledger WHERE seq = ?", (number,)) or _of_named_call(tx, named)
    return [json.loads(text) for (text,) in rows]


def rows_of_call(tx: Tx, request_id: str) -> list[Row]:
    """Return the records of a call as they are stored."""
    return tx.execute(OF_CALL, (request_id,))


def _of_named_call(tx: Tx, named: str) -> list[Row]:
    """Return the records of a call by its whole id or by the digits that `audit list` shows."""
    if not _CALL_START.fullmatch(named):
        return rows_of_call(tx, named)
    ends = (named, f"{named}g")  # "g" follows every digit of an id
    return tx.execute("SELECT record FROM ledger WHERE request_id >= ? AND request_id < ? ORDER BY seq", ends)
