"""The hash-chained record of every call: begun before it leaves, ended after, one record for a refusal.

What is stored is the text that was hashed. Each record names its predecessor's hash, each commit replaces the signed
head (`head.py`), each row carries a keyed code so that a rewritten chain is found at its first changed record. Masking
happens before a record exists: nothing here ever sees an argument in clear.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from lg_gateway.canonical import canonical, keyed_hex
from lg_gateway.head import Head, HeadFile
from lg_gateway.store import StoreDown, Tx

log = logging.getLogger(__name__)

Phase = Literal["begun", "ended", "note"]
FIRST = "0" * 64
LAST_RECORD = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1"
IN_ORDER = "SELECT seq, hash, mac, record, request_id, run_id FROM ledger WHERE seq > ? ORDER BY seq LIMIT 1000"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known about a call when a record is written.

    `request_id` is minted by the gateway and the same in a call's records. `arguments` is masked JSON text.
    `note` records (ledger opened, approval decided, pin accepted, settings reloaded) use `outcome` and `detail` only.
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


_FIELDS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a ledger. `seq` is the first bad record, `None` when it is not about one record."""

    seq: int | None
    what: str


class Ledger:
    """Appends to and checks the chain, inside transactions of the store that it guards."""

    def __init__(self, head: HeadFile, key: bytes) -> None:
        self.head = head
        self._key = key
        self._next: Head | None = None

    def append(self, tx: Tx, entry: Entry) -> int:
        """Add one record at the end of the chain and return its number. Durable when the transaction is."""
        last = tx.execute(LAST_RECORD)
        seq, prev_hash = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
        body = {name: getattr(entry, name) for name in _FIELDS} | {"seq": seq, "time": _now(), "prev_hash": prev_hash}
        record = canonical(body).decode("ascii")
        digest = record_hash(record)
        sql = "INSERT INTO ledger (seq, hash, mac, record, request_id, run_id) VALUES (?, ?, ?, ?, ?, ?)"
        tx.execute(sql, (seq, digest, self._mac(digest), record, entry.request_id, entry.run_id))
        return int(seq)

    def before(self, tx: Tx) -> None:
        """Refuse to go on from a store that is behind its signed head: going on would hide what is missing."""
        try:
            head = self.head.read()
        except (ValueError, OSError) as error:
            raise StoreDown(f"the ledger's head cannot be read: {error}") from error
        if head is None:
            return
        row = tx.execute("SELECT hash FROM ledger WHERE seq = ?", (head.seq,))
        if not row or row[0][0] != head.hash:
            raise StoreDown(
                f"the ledger does not contain record {head.seq} as it was signed; see `lg-gateway audit verify`"
            )

    def committing(self, tx: Tx) -> None:
        """Take note of what will be the end of the chain."""
        self._next = current_head(tx)

    def after(self) -> None:
        """Sign what is now the end of the chain."""
        if self._next is None:
            return
        try:
            self.head.write(self._next)
        except OSError as error:
            raise StoreDown(f"the ledger's head cannot be written: {error}") from error

    def verify(self, tx: Tx) -> tuple[int, list[Problem]]:
        """Check the whole chain; return the number of records and what is wrong, the first bad record first.

        Covers edits, deletions, insertions and reordering by someone without the keys. Does not cover what the same
        user did with the keys, nor the loss of store and key directory together.
        """
        try:
            head = self.head.read()
        except (ValueError, OSError) as error:
            return 0, [Problem(seq=None, what=str(error))]
        count = 0
        chain = _Chain()
        signed: str | None = None
        for seq, digest, mac, record, *found_by in _rows(tx):
            count += 1
            problem = chain.step(seq, digest, record) or _found_elsewhere(seq, record, found_by)
            if problem is None and not hmac.compare_digest(str(mac), self._mac(digest)):
                problem = Problem(seq=seq, what="was not written by this gateway (its keyed code is wrong)")
            if problem is not None:
                return count, [problem]
            if head is not None and seq == head.seq:
                signed = digest
        return count, _against_head(head, signed, count)

    def _mac(self, digest: str) -> str:
        return keyed_hex(self._key, str(digest).encode("ascii", "replace"))


class _Chain:
    """Walks records in order and says what is wrong with the next one."""

    def __init__(self) -> None:
        self.seq = 0
        self.hash = FIRST

    def step(self, seq: Any, digest: Any, record: Any) -> Problem | None:
        if seq != self.seq + 1:
            missing = self.seq + 1
            return Problem(seq=missing, what=f"is missing (the next record is {seq})")
        if record_hash(record) != digest:
            return Problem(seq=seq, what="was edited (its hash does not fit its text)")
        try:
            body = json.loads(record)
            named = (body["seq"], body["prev_hash"])
        except (ValueError, KeyError, TypeError):
            return Problem(seq=seq, what="is not a record")
        if named != (seq, self.hash):
            return Problem(seq=seq, what="does not follow the record before it")
        self.seq, self.hash = seq, digest
        return None


def verify_export(lines: Iterable[str]) -> tuple[int, Head | None, list[Problem]]:
    """Check exported records (`{"hash", "record"}` a line); return their number, the end of the chain, what is wrong.

    Compare the returned head with one that was signed or anchored elsewhere: a chain alone only fits itself.
    """
    chain = _Chain()
    count = 0
    ledger = ""
    for line in lines:
        count += 1
        try:
            row = json.loads(line)
            digest, record = str(row["hash"]), str(row["record"])
            seq = json.loads(record)["seq"]
        except (ValueError, KeyError, TypeError):
            return count, None, [Problem(seq=chain.seq + 1, what="is not an exported record")]
        problem = chain.step(seq, digest, record)
        if problem is not None:
            return count, None, [problem]
        ledger = ledger or digest
    return count, Head(ledger=ledger, seq=chain.seq, hash=chain.hash) if count else None, []


def current_head(tx: Tx) -> Head | None:
    """Return the end of the chain as it is in the store, `None` when it is empty."""
    last = tx.execute(LAST_RECORD)
    if not last:
        return None
    first = tx.execute("SELECT hash FROM ledger WHERE seq = 1")
    return Head(ledger=first[0][0] if first else "", seq=last[0][0], hash=last[0][1])


def record_hash(record: str) -> str:
    """Return the hash of a record's text, which includes the hash of the record before it."""
    return hashlib.sha256(str(record).encode("utf-8", "surrogatepass")).hexdigest()


def _against_head(head: Head | None, signed: str | None, count: int) -> list[Problem]:
    if head is None:
        return [Problem(seq=None, what="there is no signed head in the key directory")] if count else []
    if count < head.seq:
        return [
            Problem(seq=count + 1, what=f"is missing: the signed head is record {head.seq}, the store ends at {count}")
        ]
    if signed != head.hash:
        return [Problem(seq=head.seq, what="is not the record that was signed: the chain was rewritten")]
    return []


def _found_elsewhere(seq: int, record: str, found_by: list[Any]) -> Problem | None:
    """Compare the columns that a record is looked up by with what it says itself."""
    body = json.loads(record)
    if found_by == [body.get("request_id"), body.get("run_id")]:
        return None
    return Problem(seq=seq, what="was edited (it is filed under another call or run)")


def _rows(tx: Tx) -> Iterator[tuple[Any, ...]]:
    """Read the table in pages, by rowid, so that a ledger of any length fits in memory."""
    after = -(2**62)
    while page := tx.execute(IN_ORDER, (after,)):
        yield from page
        after = page[-1][0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
