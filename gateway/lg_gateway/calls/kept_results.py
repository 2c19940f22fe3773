"""Results that were too large to be sent whole, kept for a day for the caller they belong to."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from lg_gateway.store.interface import Tx
from lg_policy.errors import NotFound

KEPT_S = 86400.0
KEPT_CHARACTERS = 20_000_000
PIECE = 65_536


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a kept text. Offsets are in characters."""

    text: str
    offset: int
    total: int
    trusted: bool
    next_offset: int | None


def keep(tx: Tx, identity: str, text: str, now: float, *, trusted: bool) -> str:
    """Keep a text and return its id. `trusted`: whether its server is, for whoever reads on in it."""
    result_id, kept = f"re-{secrets.token_hex(8)}", text[:KEPT_CHARACTERS]
    sql = "INSERT INTO results (id, identity, characters, created, trusted) VALUES (?, ?, ?, ?, ?)"
    tx.execute(sql, (result_id, identity, len(kept), now, int(trusted)))
    for number in range(0, len(kept), PIECE):
        piece = json.dumps(kept[number : number + PIECE])
        sql = "INSERT INTO result_pieces (id, number, text) VALUES (?, ?, ?)"
        tx.execute(sql, (result_id, number // PIECE, piece))
    return result_id


def read_kept(tx: Tx, identity: str, result_id: str, *, offset: int, limit: int, now: float) -> Piece:
    """Return a part of a kept text. Raises `NotFound` when it is gone, or another caller's."""
    sql = "SELECT characters, trusted FROM results WHERE id = ? AND identity = ? AND created >= ?"
    rows = tx.execute(sql, (result_id, identity, now - KEPT_S))
    if not rows:
        raise NotFound(f"there is no result {result_id[:40]}", hint="it is kept for a day, for its own caller")
    first, last = offset // PIECE, (offset + limit) // PIECE
    sql = "SELECT text FROM result_pieces WHERE id = ? AND number BETWEEN ? AND ? ORDER BY number"
    covering = "".join(json.loads(piece) for (piece,) in tx.execute(sql, (result_id, first, last)))
    start = offset - first * PIECE
    text, total = covering[start : start + limit], int(rows[0][0])
    end = offset + len(text)
    following = end if text and end < total else None
    return Piece(text=text, offset=offset, total=total, trusted=bool(rows[0][1]), next_offset=following)
