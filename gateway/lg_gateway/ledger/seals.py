"""Signs and reads seals. A seal describes a part of the chain that was moved out of the store into a segment file.

It names the file's digest, the hashes at both ends and the seal before it, and is signed with the key of the head.
Without that key, no one can change, remove, swap or restore a segment unnoticed. Not covered: someone who has the key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any, TypeVar

from lg_gateway.ledger.chain import FIRST, ChainProblem
from lg_gateway.ledger.head import HeadFile, signature_is_good
from lg_gateway.store.canonical_json import canonical

S = TypeVar("S", "Seal", "Removal")


@dataclass(frozen=True, kw_only=True)
class Seal:
    """One segment: records `first` to `last`. Hashes are hex; times are the records' own."""

    ledger: str
    number: int
    first: int
    last: int
    prev_hash: str
    last_hash: str
    began: str
    ended: str
    file: str
    file_sha256: str
    prev_seal: str

    def digest(self) -> str:
        """Return the digest that the next seal names as the one before it."""
        return sha256(canonical(asdict(self))).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A signed note that a segment's file was removed on purpose."""

    ledger: str
    number: int
    removed: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A sealed part of the chain, as the store has it."""

    seal: Seal
    removal: Removal | None


def sign(body: Seal | Removal, head: HeadFile) -> str:
    """Return the text to store: the values and their signature."""
    values = asdict(body)
    return canonical(values | {"signature": head.sign(canonical(values))}).decode("ascii")


def read_signed(kind: type[S], text: Any, public_key: str) -> S | None:
    """Read a signed text; return `None` if it is malformed or its signature is wrong."""
    try:
        values = json.loads(text)
        signature = values.pop("signature")
        body = kind(**{field.name: values[field.name] for field in fields(kind)})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return body if signature_is_good(public_key, signature, canonical(values)) else None


def read_segments(rows: Iterable[Sequence[Any]], public_key: str) -> tuple[list[Segment], ChainProblem | None]:
    """Check rows of `(number, first_seq, last_seq, seal, removal)` in order.

    Returns the good ones and the first problem.
    """
    good: list[Segment] = []
    for number, first, last, text, removal_text in rows:
        before = good[-1].seal if good else None
        start = before.last + 1 if before else 1
        seal = read_signed(Seal, text, public_key)
        if seal is None:
            return good, ChainProblem(seq=start, what=f"cannot be checked: the seal of segment {number} was edited")
        if (seal.number, seal.first, seal.last) != (number, first, last):
            return good, ChainProblem(
                seq=start, what=f"is in the wrong row: segment {number} has the seal of segment {seal.number}"
            )
        expected = (len(good) + 1, start, before.last_hash if before else FIRST, before.digest() if before else "")
        if (seal.number, seal.first, seal.prev_hash, seal.prev_seal) != expected:
            return good, ChainProblem(
                seq=start, what=f"is missing: segment {number} does not follow the records before it"
            )
        if before is not None and seal.ledger != before.ledger:
            return good, ChainProblem(
                seq=start, what=f"belongs to another ledger, according to the seal of segment {number}"
            )
        removal = read_signed(Removal, removal_text, public_key) if removal_text is not None else None
        if removal is not None and (removal.ledger, removal.number) != (seal.ledger, seal.number):
            removal = None  # it belongs to another segment: this file counts as missing
        good.append(Segment(seal=seal, removal=removal))
    return good, None
