"""Appends records to the hash chain: one before a call is sent, one after it, or one for a refusal.

The store keeps exactly the text that was hashed. Each record names the hash of the one before it. Each commit replaces
the signed head (`head.py`). Each row carries a keyed code, so a rewritten chain is found at its first changed record.
Arguments are masked before a record is made, so nothing here ever sees them unmasked.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lg_gateway.ledger.anchors import newest_note
from lg_gateway.ledger.chain import FIRST, ChainProblem, record_hash
from lg_gateway.ledger.head import Head, HeadFile
from lg_gateway.ledger.seals import Seal, read_signed
from lg_gateway.ledger.verification import LAST_RECORD, VerificationResult, examine, last_sealed, sealed_ledger
from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.interface import StoreDown, Tx

log = logging.getLogger(__name__)

OF_REQUEST = (
    "SELECT hash, mac, record FROM ledger WHERE request_id = ?"
    " AND seq > (SELECT coalesce(max(last_seq), 0) FROM segments) ORDER BY seq"
)
"""Without records that are sealed and not removed yet."""
Phase = Literal["begun", "ended", "note"]


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """What is known about a call when a record is written.

    `request_id` is minted by the gateway and the same in a call's records. `arguments` is masked JSON text.
    `count` is how many refusals a record stands for, where they were too many for one each.
    `upstream_login` names the login at the server that the call was sent with, never its token.
    `note` records (ledger opened, approval decided, pin accepted, settings reloaded) use `outcome` and `detail`. One
    that says how rows of another table stand has a `subject` (`anchors`) as its `request_id`.
    """

    phase: Phase
    identity: str = ""
    client: str = ""
    request_id: str = ""
    trace_id: str | None = None
    run_id: str | None = None
    idempotency_key: str | None = None
    server: str = ""
    tool: str = ""
    arguments_digest: str = ""
    arguments: str = ""
    rule: str = ""
    effect: str = ""
    approval_id: str | None = None
    outcome: str | None = None
    error_code: str | None = None
    duration_ms: float | None = None
    bytes_in: int = 0
    bytes_out: int | None = None
    tool_pin: str | None = None
    result_digest: str | None = None
    detail: str | None = None
    count: int | None = None
    upstream_login: str | None = None


class Ledger:
    """Appends to and checks the chain, inside transactions of the store that it guards.

    `segments` is the folder of its sealed segment files; `None` if they cannot be read.
    """

    def __init__(self, head: HeadFile, key: bytes, segments: Path | None = None) -> None:
        self.head = head
        self.segments = segments
        self._key = key
        self._next: Head | None = None
        self._known: Head | None = None
        self._end_hash = ""
        self.writes_of_others = 1
        """Goes up when this process notices, as it appends, that another one has written."""

    def append(self, tx: Tx, entry: LedgerEntry) -> int:
        """Add one record at the end of the chain and return its number. Durable when the transaction is."""
        last = tx.execute(LAST_RECORD) or last_sealed(tx)
        seq, prev_hash = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
        if prev_hash != self._end_hash:
            self.writes_of_others += 1
        body = vars(entry) | {"seq": seq, "time": _now(), "prev_hash": prev_hash}
        record = canonical(body).decode("ascii")
        digest = record_hash(record)
        sql = "INSERT INTO ledger (seq, hash, mac, record, request_id, run_id) VALUES (?, ?, ?, ?, ?, ?)"
        tx.execute(sql, (seq, digest, self._mac(digest), record, entry.request_id, entry.run_id))
        self._end_hash = digest
        return int(seq)

    def records_of(self, tx: Tx, request_id: str) -> list[dict[str, Any]]:
        """Return the records of a call that are in the store and were written with the keys, in order.

        Not covered: whether one is missing, or sealed into a segment; `examine` finds what is gone.
        """
        rows = tx.execute(OF_REQUEST, (request_id,))
        genuine = [record for digest, mac, record in rows if record_hash(record) == digest and self.wrote(digest, mac)]
        return [body for body in map(json.loads, genuine) if body["request_id"] == request_id]

    def newest_note(self, tx: Tx, subject: str) -> dict[str, Any] | None:
        """Return time, outcome and detail of the newest note about a subject (`anchors`), `None` without one."""
        return newest_note(tx, subject, self.records_of)

    def before(self, tx: Tx) -> None:
        """Refuse to go on from a store that is behind its signed head: going on would hide what is missing."""
        self._known = self._checked(tx)

    def _checked(self, tx: Tx) -> Head | None:
        """Return the signed head. Raises `StoreDown` if the store is behind it."""
        head = self._read_head(self.head.read)
        if head is not None and not self.holds(tx, head):
            raise StoreDown(
                f"the ledger does not contain record {head.seq} as it was signed; see `lg-gateway audit verify`, and"
                " `lg-gateway audit restart` if the store was removed or put back on purpose"
            )
        return head

    @staticmethod
    def _read_head(read: Callable[[], Head | None]) -> Head | None:
        try:
            return read()
        except (ValueError, OSError) as error:
            raise StoreDown(f"the ledger's head cannot be read: {error}") from error

    def committing(self, tx: Tx) -> None:
        """Take note of what will be the end of the chain."""
        self._next = self._end(tx)

    def after(self) -> None:
        """Sign the end of the chain that is on the disk, if the head does not name it or a later record already."""
        self._sign(self._known, self._next)

    def flushing(self, tx: Tx) -> Head | None:
        """Return the end of the chain that a flush will put on the disk. Refuses what `before` refuses."""
        self._checked(tx)
        return self._end(tx)

    def flushed(self, seen: Head | None) -> None:
        """Sign that end of the chain, unless another process has signed it or a later one meanwhile."""
        self._sign(self._read_head(self.head.read_anew), seen)

    def _sign(self, known: Head | None, following: Head | None) -> None:
        if following is None or (known is not None and known.ledger == following.ledger and known.seq >= following.seq):
            return
        try:
            self.head.write(following)
        except OSError as error:
            raise StoreDown(f"the ledger's head cannot be written: {error}") from error

    def examine(self, tx: Tx, since: Head | None = None) -> VerificationResult:
        """Check the whole chain, sealed segments and records alike, or only what came after a signed head.

        Covers edits, deletions, insertions and reordering by someone without the keys. Does not cover what the same
        user did with the keys, nor the loss of store and key directory together.
        """
        return examine(tx, self.head, self.wrote, self.segments, since)

    def verify(self, tx: Tx) -> tuple[int, list[ChainProblem]]:
        """Do what `examine` does; return the number of records and what is wrong, the first bad record first."""
        verdict = self.examine(tx)
        return verdict.records, verdict.problems

    def wrote(self, digest: str, mac: str) -> bool:
        """Whether the keyed code of a record is right."""
        return hmac.compare_digest(str(mac).encode(), self._mac(digest).encode())

    def holds(self, tx: Tx, head: Head) -> bool:
        """Whether the store has the head's record, or a signed seal over it."""
        row = tx.execute("SELECT hash FROM ledger WHERE seq = ?", (head.seq,))
        if row:
            return bool(row[0][0] == head.hash)
        sealed = tx.execute("SELECT seal FROM segments WHERE first_seq <= ? AND last_seq >= ?", (head.seq, head.seq))
        seal = read_signed(Seal, sealed[0][0], self.head.public_key()) if sealed else None
        if seal is None or seal.ledger != head.ledger or not seal.first <= head.seq <= seal.last:
            return False
        return seal.last != head.seq or seal.last_hash == head.hash

    def _end(self, tx: Tx) -> Head | None:
        """Return the end of the chain as it is in the store, `None` when it is empty."""
        last = tx.execute(LAST_RECORD)
        if not last:
            return None
        first = tx.execute("SELECT hash FROM ledger WHERE seq = 1") or [(sealed_ledger(tx),)]
        return Head(ledger=first[0][0], seq=last[0][0], hash=last[0][1])

    def _mac(self, digest: str) -> str:
        return keyed_hex(self._key, str(digest).encode("ascii", "replace"))


def _now() -> str:
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def stamp(moment: datetime) -> str:
    """Return a moment as records write it: UTC, milliseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
