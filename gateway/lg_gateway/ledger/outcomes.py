"""Keeps the results of calls next to the chain, to answer a repeated idempotency key and to show them later.

The chain has the digest of exactly this text. Rows carry a keyed code. Without the keys, no one can choose the answer
to a repeat. Not covered: a row that is removed; the outcome of its call then counts as lost.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.interface import StoreEdited, Tx


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a call as JSON text, and the size in bytes of what the server sent."""

    text: str
    size: int

    def digest(self) -> str:
        """Return what the chain records of it."""
        return sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


class OutcomeTable:
    """Keeps and returns results inside transactions. `now` is seconds since the epoch, given by the caller."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def keep(self, tx: Tx, request_id: str, text: str, now: float) -> None:
        """Keep the result of a call."""
        sql = (
            "INSERT INTO outcomes (request_id, text, mac, created) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (request_id) DO UPDATE SET text = excluded.text, mac = excluded.mac"
        )
        tx.execute(sql, (request_id, text, self._mac(request_id, text), now))

    def read(self, tx: Tx, request_id: str) -> str | None:
        """Return a kept result; `None` when there is none. Raises `StoreEdited` for one that was not written here."""
        rows = tx.execute("SELECT text, mac FROM outcomes WHERE request_id = ?", (request_id,))
        if not rows:
            return None
        text, mac = str(rows[0][0]), str(rows[0][1])
        if not hmac.compare_digest(self._mac(request_id, text).encode(), mac.encode()):
            raise StoreEdited("a recorded outcome in the store was not written by this gateway")
        return text

    def _mac(self, request_id: str, text: str) -> str:
        return keyed_hex(self._key, canonical([request_id, text]))
