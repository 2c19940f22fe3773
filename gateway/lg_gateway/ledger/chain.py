"""Checks the hash chain: does each record follow the one before it? Needs no store, no file and no key.

`Ledger.append` makes the chain.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

FIRST = "0" * 64
"""The hash that the first record names as the one before it."""


@dataclass(frozen=True, kw_only=True)
class ChainProblem:
    """Something wrong with a ledger. `seq` is the first bad record, `None` when it is not about one record."""

    seq: int | None
    what: str

    def text(self) -> str:
        """Return it as a line."""
        return f"record {self.seq} {self.what}" if self.seq is not None else self.what


class Chain:
    """Walks records in order, from after record `seq` whose hash is `hash`."""

    def __init__(self, seq: int = 0, hash: str = FIRST) -> None:  # noqa: A002  the field's own word
        self.seq = seq
        self.hash = hash

    def step(self, seq: Any, digest: Any, record: Any) -> ChainProblem | None:
        """Take the next record, or say what is wrong with it and stay where it was."""
        if seq != self.seq + 1:
            missing = self.seq + 1
            return ChainProblem(seq=missing, what=f"is missing (the next record is {seq})")
        if record_hash(record) != digest:
            return ChainProblem(seq=seq, what="was edited (its hash does not match its text)")
        try:
            body = json.loads(record)
            named = (body["seq"], body["prev_hash"])
        except (ValueError, KeyError, TypeError):
            return ChainProblem(seq=seq, what="is not a record")
        if named != (seq, self.hash):
            return ChainProblem(seq=seq, what="does not follow the record before it")
        self.seq, self.hash = seq, digest
        return None


def record_hash(record: str) -> str:
    """Return the hash of a record's text, which includes the hash of the record before it."""
    return hashlib.sha256(str(record).encode("utf-8", "surrogatepass")).hexdigest()


def line_of(digest: str, record: str) -> str:
    """Return a record as one line of a segment or an export."""
    return json.dumps({"hash": digest, "record": record})


def read_line(line: str) -> tuple[int, str, str]:
    """Return number, hash and text of the record on a line. Raises `ValueError` for anything else."""
    try:
        row = json.loads(line)
        digest, record = str(row["hash"]), str(row["record"])
        return int(json.loads(record)["seq"]), digest, record
    except (KeyError, TypeError) as error:
        raise ValueError("not a record") from error
