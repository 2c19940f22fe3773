"""Reads segment files: checks one against its seal, or returns its lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from lg_gateway.ledger.chain import Chain, ChainProblem, read_line
from lg_gateway.ledger.seals import Seal
from lg_gateway.store.interface import StoreError

SEGMENTS = "SELECT number, first_seq, last_seq, seal, removal FROM segments ORDER BY number"
SUM_CHUNK = 1 << 20


def check_file(path: Path, seal: Seal) -> ChainProblem | None:
    """Compare a segment's file with its seal, record by record: the first bad one is named."""
    chain = Chain(seal.first - 1, seal.prev_hash)
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    seq, digest, record = read_line(line)
                except ValueError:
                    return ChainProblem(seq=chain.seq + 1, what=f"is not a record any more (in {path.name})")
                problem = chain.step(seq, digest, record)
                if problem is not None:
                    return problem
    except OSError as error:
        return ChainProblem(seq=seal.first, what=f"cannot be read: segment {seal.number}: {error.strerror or error}")
    if (chain.seq, chain.hash) != (seal.last, seal.last_hash):
        return ChainProblem(
            seq=chain.seq + 1, what=f"is missing: segment {seal.number} was sealed up to record {seal.last}"
        )
    if _sum(path) != seal.file_sha256:
        return ChainProblem(seq=seal.first, what=f"is in a file that is not the one that was sealed ({path.name})")
    return None


def lines_of(path: Path) -> Iterator[str]:
    """Return the lines of a segment's file. Raises `StoreError` when it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            yield from (line.rstrip("\n") for line in file)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def time_of(record: str) -> str:
    """Return a record's time; the empty text for what is no record, which sorts before every time."""
    try:
        return str(json.loads(record)["time"])
    except (ValueError, KeyError, TypeError):
        return ""


def _sum(path: Path) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(SUM_CHUNK):
            summed.update(chunk)
    return summed.hexdigest()
