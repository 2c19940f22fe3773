"""Writes into the chain which rows exist outside it, so that no one can remove or restore a row unnoticed.

A subject is the name of such rows: the pins of a server, a token, a grant. Its newest note in the chain says how they
stand. A halt is a note without rows.

Each record names the newest note before it, so the notes are a list inside the chain, from its end backwards
(`NoteIndex`). A decision rests on that list alone: on numbers that the records' keyed codes cover, never on a column.
When records are sealed, the record of the sealing says again what the notes say; the list ends there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from lg_gateway.store.interface import StoreEdited, Tx

PINS, TOKEN, GRANT = "pins ", "tok-", "gr-"
HALT = "halt"
"""The subject of the notes that stop all calls and let them begin again. There are no rows beside them."""
CARRIED = "segment sealed"
"""The subject of a record whose arguments are the notes that it says again, by subject."""
CARRIED_DAYS = 1
"""Days for which notes about grants are said again: a grant counts for hours."""
APPROVAL = "ap-"
GOES_ON = "goes on with the answers of round"
"""Begins the detail of a record: the call was begun before, and its server asked."""
_PARTS = ("time", "outcome", "detail")
_AT_ONCE = 1_000
"""Records that are read together."""
_LAST = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1"

Note = dict[str, Any]
"""Time, outcome and detail of a note."""


@dataclass(frozen=True)
class Marks:
    """The newest note about a subject, and the newest use of an answer, up to some record; 0 where there is none."""

    note: int = 0
    use: int = 0

    def after(self, seq: int, body: Mapping[str, Any]) -> Marks:
        """Return the marks up to and with one more record."""
        note = seq if is_note(body) else self.note
        use = seq if is_use(body) else self.use
        return Marks(note, use) if (note, use) != (self.note, self.use) else self


def marks_of(body: Mapping[str, Any]) -> Marks | None:
    """Return the marks up to and with a record; `None` for one of a version that wrote none."""
    note, use = body.get("last_note"), body.get("last_use")
    if not isinstance(note, int) or not isinstance(use, int):
        return None
    return Marks(note, use).after(int(body["seq"]), body)


def is_note(body: Mapping[str, Any]) -> bool:
    """Whether a record is a note about a subject."""
    subject = str(body["request_id"])
    return body["phase"] == "note" and (subject in (HALT, CARRIED) or subject.startswith((PINS, TOKEN, GRANT)))


def is_use(body: Mapping[str, Any]) -> bool:
    """Whether a record begins a call that a human approved, or lets one go on with answers to its server."""
    answered = str(body["approval_id"] or "").startswith(APPROVAL) or str(body["detail"] or "").startswith(GOES_ON)
    return body["phase"] == "begun" and answered


class GenuineRecords(Protocol):
    """What the index needs of the ledger."""

    def genuine(self, tx: Tx, seq: int) -> dict[str, Any]:
        """Return a record by number. Raises `StoreEdited` if it is not there as it was written."""
        ...

    def opened(self, digest: str, mac: str, record: str) -> dict[str, Any] | None:
        """Return what a row holds, `None` if it was not written with the keys."""
        ...

    def sealed_until(self, tx: Tx) -> int:
        """Return the last record that a signed seal covers."""
        ...


@dataclass(frozen=True)
class _KnownNotes:
    """What the notes say up to the record `end` (its hash). `seq` and `hash` are those of the newest note."""

    end: str = ""
    seq: int = 0
    hash: str = ""
    notes: Mapping[str, Note] = field(default_factory=dict)


class NoteIndex:
    """The newest note about each subject, read from the chain's own list and remembered by number and hash."""

    def __init__(self, records: GenuineRecords) -> None:
        self._records = records
        self._seen = _KnownNotes()

    def newest(self, tx: Tx, subject: str) -> Note | None:
        """Return time, outcome and detail of the newest note about a subject, `None` where there is none."""
        return self.all(tx).get(subject)

    def all(self, tx: Tx) -> Mapping[str, Note]:
        """Return the newest note about each subject. Raises `StoreEdited` where one is missing or was changed."""
        rows = tx.execute(_LAST)
        if not rows:
            return {}
        seq, end = int(rows[0][0]), str(rows[0][1])
        seen = self._seen
        if seen.end == end:
            return seen.notes
        marks = marks_of(self._records.genuine(tx, seq))
        if marks is None:
            notes, newest = self._of_older_version(tx, seq), 0
        else:
            notes, newest = self._walk(tx, marks.note, seen), marks.note
        self._seen = _KnownNotes(end, newest, _hash_of(tx, newest) if newest else "", notes)
        return notes

    def used(self, tx: Tx, approval_id: str, since: int) -> bool:
        """Whether a call was begun with an approval after record `since`; true where that cannot be known any more."""
        return any(body is None or body["approval_id"] == approval_id for body in self._uses(tx, since))

    def went_on(self, tx: Tx, request_id: str, since: int) -> bool:
        """Whether a call went on with answers to its server after record `since`; false where that cannot be known."""
        return any(
            body is not None and body["request_id"] == request_id and str(body["detail"] or "").startswith(GOES_ON)
            for body in self._uses(tx, since)
        )

    def _uses(self, tx: Tx, since: int) -> Iterator[dict[str, Any] | None]:
        """Yield the uses of answers after a record, the newest first; `None` at the end where older ones are gone."""
        rows = tx.execute(_LAST)
        marks = marks_of(self._records.genuine(tx, int(rows[0][0]))) if rows else None
        at = marks.use if marks is not None else 0
        while at > since:
            if at <= self._records.sealed_until(tx) and not _hash_of(tx, at):
                yield None
                return
            body = self._records.genuine(tx, at)
            yield body
            at = _earlier(body, "last_use", at)

    def _walk(self, tx: Tx, at: int, seen: _KnownNotes, after: int = 0) -> Mapping[str, Note]:
        """Follow the list from a note backwards, until what is known, or a record that says all of it again.

        It ends at record `after` too, where another record says again what is said up to there.
        """
        newer: list[dict[str, Any]] = []
        known: Mapping[str, Note] = {}
        while at > after:
            if at == seen.seq and _hash_of(tx, at) == seen.hash:
                known = seen.notes
                break
            body = self._records.genuine(tx, at)
            if body["request_id"] == CARRIED:
                known = json.loads(body["arguments"])
                break
            newer.append(body)
            at = _earlier(body, "last_note", at)
        return {**known, **{body["request_id"]: _note(body) for body in reversed(newer)}} if newer else known

    def _of_older_version(self, tx: Tx, end: int) -> Mapping[str, Note]:
        """Return what the notes say where a version that kept no list wrote the newest records."""
        rows = tx.execute("""SELECT seq FROM ledger WHERE record LIKE '%"last_note":%' ORDER BY seq DESC LIMIT 1""")
        start = int(rows[0][0]) if rows else self._records.sealed_until(tx)
        said, newer = self._scan(tx, start, end, strict=True)
        listed = marks_of(self._records.genuine(tx, start)) if rows else None
        # That version may have sealed records of the list: then its record of the sealing says their notes again.
        sealed = self._records.sealed_until(tx) if said is not None else 0
        notes = self._walk(tx, listed.note, _KnownNotes(), sealed) if listed is not None else {}
        return {**(said or {}), **notes, **newer}

    def scanned(self, tx: Tx, after: int) -> dict[str, Note]:
        """Return what the genuine notes after a record say, found by their text."""
        rows = tx.execute(_LAST)
        said, notes = self._scan(tx, after, int(rows[0][0]) if rows else 0, strict=False)
        return {**(said or {}), **notes}

    def _scan(self, tx: Tx, after: int, end: int, *, strict: bool) -> tuple[dict[str, Note] | None, dict[str, Note]]:
        """Return what sealings of an older version said again last, and what the notes between two records say.

        `strict`: `StoreEdited` where a record is missing, or is not the one that was written there.
        """
        said: dict[str, Note] | None = None
        notes: dict[str, Note] = {}
        for first in range(after, end, _AT_ONCE):
            last = min(first + _AT_ONCE, end)
            rows = tx.execute("SELECT seq, hash, mac, record FROM ledger WHERE seq > ? AND seq <= ? ORDER BY seq",
                              (first, last))  # fmt: skip
            if strict and len(rows) != last - first:
                raise StoreEdited(f"the ledger lacks records after {first}; see `lg-gateway audit verify`")
            for seq, *row in rows:
                body = self._records.opened(*row)
                if body is None or body["seq"] != seq:
                    if strict:
                        raise StoreEdited(f"record {seq} of the ledger was edited; see `lg-gateway audit verify`")
                elif body["request_id"] == CARRIED and body["arguments"] and marks_of(body) is None:
                    said = json.loads(body["arguments"])
                elif body["request_id"] == CARRIED and body["arguments"]:
                    notes |= json.loads(body["arguments"])
                elif is_note(body):
                    notes[body["request_id"]] = _note(body)
        return said, notes


def still_needed(notes: Mapping[str, Note]) -> dict[str, Note]:
    """Return the notes that have to be said again: those about old grants have not."""
    young = (datetime.now(UTC) - timedelta(days=CARRIED_DAYS)).isoformat()
    return {
        subject: note
        for subject, note in sorted(notes.items())
        if not subject.startswith(GRANT) or str(note["time"]) >= young
    }


def subjects(notes: Mapping[str, Note], beginning: str) -> list[str]:
    """Return the subjects that begin so, in order."""
    return sorted(name for name in notes if name.startswith(beginning))


OfRequest = Callable[[Tx, str], list[dict[str, Any]]]
"""Returns the genuine records of a call or about a subject, in order."""


def newest_by_column(tx: Tx, subject: str, records_of: OfRequest) -> Note | None:
    """Return the newest note about what is in no list: a question. Nothing but `audit verify` relies on it."""
    notes = [record for record in records_of(tx, subject) if record["phase"] == "note"]
    return _note(notes[-1]) if notes else None


def _note(body: Mapping[str, Any]) -> Note:
    return {name: body[name] for name in _PARTS}


def _earlier(body: Mapping[str, Any], name: str, at: int) -> int:
    """Return the next number of a list, which only goes down."""
    number = body.get(name)
    return number if isinstance(number, int) and 0 <= number < at else 0


def _hash_of(tx: Tx, seq: int) -> str:
    rows = tx.execute("SELECT hash FROM ledger WHERE seq = ?", (seq,))
    return str(rows[0][0]) if rows else ""
