"""Results that were too large to be sent whole, kept for a day for the caller they belong to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from lg_gateway.store import Tx
from lg_policy.errors import NotFound

KEPT_S = 86400.0
KEPT_CHARACTERS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a kept text. Offsets are in characters."""

    text: str
    offset: int
    total: int
    next_offset: int | None


def keep(tx: Tx, identity: str, text: str, now: float) -> str:
    """Keep a text and return its id; what has been kept for a day is dropped."""
    tx.execute("DELETE FROM results WHERE created < ?", (now - KEPT_S,))
    result_id = f"re-{secrets.token_hex(8)}"
    sql = "INSERT INTO results (id, identity, text, created) VALUES (?, ?, ?, ?)"
    tx.execute(sql, (result_id, identity, text[:KEPT_CHARACTERS], now))
    return result_id


def read_kept(tx: Tx, identity: str, result_id: str, *, offset: int, limit: int, now: float) -> Piece:
    """Return a part of a kept text. Raises `NotFound` when it is gone, or another caller's."""
    sql = "SELECT substr(text, ?, ?), length(text) FROM results WHERE id = ? AND identity = ? AND created >= ?"
    rows = tx.execute(sql, (offset + 1, limit, result_id, identity, now - KEPT_S))
    if not rows:
        raise NotFound(f"there is no result {result_id[:40]}", hint="it is kept for a day, for its own caller")
    text, total = str(rows[0][0]), int(rows[0][1])
    end = offset + len(text)
    return Piece(text=text, offset=offset, total=total, next_offset=end if text and end < total else None)
