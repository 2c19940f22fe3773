"""Keeps results that are too large to send whole, for a day, for the caller they belong to.

Rows carry a keyed code over everything in them. Without the key, no one can change a kept text, give it to another
caller, swap its pieces, or make an untrusted server's text look trusted. Not covered: a row that is removed; the caller
then reads that there is no such result.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from dataclasses import dataclass

from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.interface import StoreEdited, Tx
from lg_policy.errors import NotFound

KEPT_S = 86400.0
RESULT_ID = re.compile(r"re-[0-9a-f]{16}")
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


class KeptResults:
    """Keeps and returns long texts inside transactions. `now` is seconds since the epoch, given by the caller."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def keep(self, tx: Tx, identity: str, text: str, now: float, *, trusted: bool) -> str:
        """Keep a text and return its id. `trusted`: whether it comes from a trusted server."""
        result_id, kept = f"re-{secrets.token_hex(8)}", text[:KEPT_CHARACTERS]
        mac = self._mac(result_id, identity, len(kept), now, int(trusted))
        sql = "INSERT INTO results (id, identity, characters, created, trusted, mac) VALUES (?, ?, ?, ?, ?, ?)"
        tx.execute(sql, (result_id, identity, len(kept), now, int(trusted), mac))
        for start in range(0, len(kept), PIECE):
            number, piece = start // PIECE, json.dumps(kept[start : start + PIECE])
            sql = "INSERT INTO result_pieces (id, number, text, mac) VALUES (?, ?, ?, ?)"
            tx.execute(sql, (result_id, number, piece, self._mac(result_id, number, piece)))
        return result_id

    def read(self, tx: Tx, identity: str, result_id: str, *, offset: int, limit: int, now: float) -> Piece:
        """Return a part of a kept text. Raises `NotFound` when it is gone or another caller's, `StoreError` when
        it is not as it was written."""
        sql = "SELECT characters, created, trusted, mac FROM results WHERE id = ? AND identity = ? AND created >= ?"
        known = RESULT_ID.fullmatch(result_id) is not None
        rows = tx.execute(sql, (result_id, identity, now - KEPT_S)) if known else []
        if not rows:
            raise NotFound("there is no such result", hint="results are kept for a day, for their caller")
        total, created, trusted, mac = int(rows[0][0]), float(rows[0][1]), int(rows[0][2]), rows[0][3]
        self._check(mac, result_id, identity, total, created, trusted)
        start = min(offset, total)
        covering = self._pieces(tx, result_id, start // PIECE, min(start + limit, total))
        text = covering[start % PIECE :][:limit]
        end = offset + len(text)
        following = end if text and end < total else None
        return Piece(text=text, offset=offset, total=total, trusted=bool(trusted), next_offset=following)

    def _pieces(self, tx: Tx, result_id: str, first: int, end: int) -> str:
        """Return the text of every piece from one on that holds characters before `end`."""
        wanted = list(range(first, (end + PIECE - 1) // PIECE))
        if not wanted:
            return ""
        sql = "SELECT number, text, mac FROM result_pieces WHERE id = ? AND number BETWEEN ? AND ? ORDER BY number"
        rows = tx.execute(sql, (result_id, first, wanted[-1]))
        if [int(number) for number, _, _ in rows] != wanted:
            raise StoreEdited("a part of a kept result is gone from the store")
        for number, text, mac in rows:
            self._check(mac, result_id, int(number), text)
        return "".join(json.loads(text) for _, text, _ in rows)

    def _check(self, mac: object, *values: object) -> None:
        if not hmac.compare_digest(str(mac).encode("utf-8", "replace"), self._mac(*values).encode()):
            raise StoreEdited("a kept result in the store was not written by this gateway")

    def _mac(self, *values: object) -> str:
        return keyed_hex(self._key, canonical(values))
