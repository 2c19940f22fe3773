"""Appends records to the hash chain: one before a call is sent, one after it, or one for a refusal.

The store keeps exactly the text that was hashed. Each record names the hash of the one before it. Each commit replaces
the signed head (`head.py`). Each row carries a keyed code, so a rewritten chain is found at its first changed record.
Arguments are masked before a record is made, so nothing here ever sees them unmasked.

Each record also names the newest note about a subject, and the newest use of an approval, before it (`anchors`).
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lg_gateway.ledger.anchors import (
    CARRIED,
    GRANT,
    HALT,
    PINS,
    TOKEN,
    Marks,
    NoteIndex,
    marks_of,
    newest_by_column,
    still_needed,
)
from lg_gateway.ledger.chain import FIRST, ChainProblem, record_hash
from lg_gateway.ledger.head import Head, HeadFile
from lg_gateway.ledger.seals import Seal, read_signed
from lg_gateway.ledger.verification import LAST_RECORD, VerificationResult, examine, last_sealed, sealed_ledger
from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.interface import StoreDown, StoreEdited, Tx

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
        self._end_marks = Marks()
        self.notes = NoteIndex(self)
        self.writes_of_others = 1
        """Goes up when this process notices, as it appends, that another one has written."""

    def append(self, tx: Tx, entry: LedgerEntry) -> int:
        """Add one record at the end of the chain and return its number. Durable when the transaction is.

        Raises `StoreEdited` where somebody else wrote the end of the chain.
        """
        last = tx.execute(LAST_RECORD) or last_sealed(tx)
        seq, prev_hash = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
        if prev_hash != self._end_hash:
            self.writes_of_others += 1
            marks = marks_of(self.genuine(tx, seq - 1)) if last else Marks()
            if marks is None:  # a version that kept no list wrote it: begin one
                carry = _carrying(self.notes.all(tx), "begun", "the notes of an older version, said again")
                self._write(tx, carry, seq, prev_hash, Marks())
                return self.append(tx, entry)
            self._end_marks = marks
        self._write(tx, entry, seq, prev_hash, self._end_marks)
        return int(seq)

    def carry_notes(self, tx: Tx, outcome: str, detail: str) -> int:
        """Append a record that says again what all notes say."""
        return self.append(tx, _carrying(self.notes.all(tx), outcome, detail))

    def append_anew(self, tx: Tx, outcome: str, detail: str) -> int:
        """Append a record behind a chain that has lost notes: the list begins with those that are still there."""
        last = tx.execute(LAST_RECORD) or last_sealed(tx)
        seq, prev_hash = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
        try:
            notes = self.notes.all(tx)
        except StoreEdited:
            notes = self.notes.scanned(tx, self.sealed_until(tx))
        self._write(tx, _carrying(notes, outcome, detail), seq, prev_hash, Marks())
        return int(seq)

    def _write(self, tx: Tx, entry: LedgerEntry, seq: int, prev_hash: str, marks: Marks) -> None:
        made = {"seq": seq, "time": _now(), "prev_hash": prev_hash, "last_note": marks.note, "last_use": marks.use}
        body = vars(entry) | made
        record = canonical(body).decode("ascii")
        digest = record_hash(record)
        sql = "INSERT INTO ledger (seq, hash, mac, record, request_id, run_id) VALUES (?, ?, ?, ?, ?, ?)"
        tx.execute(sql, (seq, digest, self._mac(digest), record, entry.request_id, entry.run_id))
        self._end_hash, self._end_marks = digest, marks.after(seq, body)

    def genuine(self, tx: Tx, seq: int) -> dict[str, Any]:
        """Return a record by number. Raises `StoreEdited` if it is not there as it was written."""
        rows = tx.execute("SELECT hash, mac, record FROM ledger WHERE seq = ?", (seq,))
        body = self.opened(*rows[0]) if rows else None
        if body is None or body["seq"] != seq:
            raise StoreEdited(
                f"record {seq} of the ledger is {'not as it was written' if rows else 'gone'}, and later records name"
                " it; see `lg-gateway audit verify`, and `lg-gateway audit restart` if the store was changed on purpose"
            )
        return body

    def opened(self, digest: str, mac: str, record: str) -> dict[str, Any] | None:
        """Return what a row holds, `None` if it was not written with the keys."""
        if record_hash(record) != digest or not self.wrote(digest, mac):
            return None
        body: dict[str, Any] = json.loads(record)
        return body

    def sealed_until(self, tx: Tx) -> int:
        """Return the last record that a signed seal covers."""
        rows = tx.execute("SELECT seal FROM segments ORDER BY number DESC LIMIT 1")
        seal = read_signed(Seal, rows[0][0], self.head.public_key()) if rows else None
        return seal.last if seal is not None else 0

    def records_of(self, tx: Tx, request_id: str) -> list[dict[str, Any]]:
        """Return the records of a call that are in the store and were written with the keys, in order.

        Not covered: whether one is missing, or sealed into a segment; `examine` finds what is gone.
        """
        found = [self.opened(*row) for row in tx.execute(OF_REQUEST, (request_id,))]
        return [body for body in found if body is not None and body["request_id"] == request_id]

    def end(self, tx: Tx) -> int:
        """Return the number of the newest record."""
        last = tx.execute(LAST_RECORD) or last_sealed(tx)
        return int(last[0][0]) if last else 0

    def newest_note(self, tx: Tx, subject: str) -> dict[str, Any] | None:
        """Return time, outcome and detail of the newest note about a subject (`anchors`), `None` without one.

        Raises `StoreEdited` where notes are missing or were changed.
        """
        if subject == HALT or subject.startswith((PINS, TOKEN, GRANT)):
            return self.notes.newest(tx, subject)
        return newest_by_column(tx, subject, self.records_of)

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


def _carrying(notes: Mapping[str, Any], outcome: str, detail: str) -> LedgerEntry:
    said = json.dumps(still_needed(notes))
    return LedgerEntry(phase="note", request_id=CARRIED, arguments=said, outcome=outcome, detail=detail)


def _now() -> str:
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def stamp(moment: datetime) -> str:
    """Return a moment as records write it: UTC, milliseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
