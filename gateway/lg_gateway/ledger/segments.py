"""Moves old records out of the store into sealed files, and removes such files, without breaking the chain.

A file is complete on the disk before its records leave the store. One transaction writes the seal and the record that
says so, and deletes the records. After a crash in between, the file is made again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lg_gateway.ledger.chain import FIRST, Chain, ChainProblem, line_of
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.ledger.seals import Removal, Seal, Segment, read_segments, sign
from lg_gateway.ledger.segment_files import SEGMENTS, time_of
from lg_gateway.store.interface import Store, Tx
from lg_policy.state import make_private

BATCH = 100
"""Sealed records that one transaction removes from the store: calls wait for it."""
SLICE = 20
"""Records that are checked and written in one go. Then other threads have their turn: calls run in one of them."""
SLICE_PAUSE_S = 0.001
PAUSE_S = 0.01
"""Between two such transactions."""
NEXT = "SELECT seq, hash, mac, record FROM ledger WHERE seq > ? AND seq < ? ORDER BY seq LIMIT 1000"


class SealingError(Exception):
    """Records cannot be moved: the chain is broken there, or another process was faster."""


@dataclass(frozen=True, kw_only=True)
class _Draft:
    seal: Seal
    path: Path


class Archive:
    """The segment files of one ledger, in `folder`, at most `records` records each."""

    def __init__(self, store: Store, ledger: Ledger, folder: Path, *, records: int) -> None:
        self._store = store
        self._ledger = ledger
        self._folder = folder
        self._records = records

    async def seal(self, before: str, *, by: str) -> list[Seal]:
        """Move every record older than the time `before` (as records write it), except the newest of all.

        Raises `SealingError` at the first bad record, after what was good has been moved; `StoreError`, `OSError`.
        """
        done: list[Seal] = []
        await self._clear()
        newest = self._store.read_now(lambda tx: tx.execute("SELECT coalesce(max(seq), 0) FROM ledger"))[0][0]
        while True:
            draft = await asyncio.to_thread(self._store.read_now, lambda tx: self._draft(tx, before, newest))
            if draft is None:
                return done
            try:
                await self._store.write(partial(self._move, draft=draft, by=by))
            except BaseException:
                draft.path.unlink(missing_ok=True)
                raise
            done.append(draft.seal)
            await self._clear()

    def rest(self) -> None:
        """Let other threads have their turn, of which one makes calls."""
        time.sleep(SLICE_PAUSE_S)

    async def _clear(self) -> None:
        """Remove the records that a seal covers, a few at a time: calls wait for each transaction.

        The newest seal says how far: whoever reads the chain begins behind it, so a killed process leaves no gap. Nor
        does a power cut: what it brings back is removed once more. So none of these waits for the disk.
        """
        more = True
        while more:
            more = await self._store.write(clear_some, durable=False)
            await asyncio.sleep(PAUSE_S)

    async def prune(self, before: str, *, by: str, now: str) -> list[Seal]:
        """Remove the files of segments whose newest record is older than `before`; their seals stay."""
        segments, problem = self._store.read_now(self._segments)
        if problem is not None:
            raise SealingError(problem.text())
        old = [segment.seal for segment in segments if segment.removal is None and segment.seal.ended < before]
        for seal in old:
            await self._store.write(partial(self._note_removal, seal=seal, by=by, now=now))
            (self._folder / seal.file).unlink(missing_ok=True)
        return old

    def oldest(self, tx: Tx) -> str | None:
        """Return the time of the oldest record that is still in the store."""
        rows = tx.execute(
            "SELECT record FROM ledger WHERE seq > (SELECT coalesce(max(last_seq), 0) FROM segments)"
            " ORDER BY seq LIMIT 1"
        )
        return time_of(rows[0][0]) if rows else None

    def _segments(self, tx: Tx) -> tuple[list[Segment], ChainProblem | None]:
        return read_segments(tx.execute(SEGMENTS), self._ledger.head.public_key())

    def _draft(self, tx: Tx, before: str, newest: int) -> _Draft | None:
        """Write the next segment's file, without telling anybody yet."""
        segments, problem = self._segments(tx)
        if problem is not None:
            raise SealingError(problem.text())
        last = segments[-1].seal if segments else None
        chain = Chain(last.last, last.last_hash) if last else Chain()
        rows = self._good(tx, chain, before, newest)
        first = next(rows, None)
        if first is None:
            return None
        make_private(self._folder)
        temporary = self._folder / f".{secrets.token_hex(8)}"
        try:
            summed, ended, ledger = _write_file(temporary, first, rows)
            seal = Seal(
                ledger=last.ledger if last else ledger,
                number=last.number + 1 if last else 1,
                first=last.last + 1 if last else 1,
                last=chain.seq,
                prev_hash=last.last_hash if last else FIRST,
                last_hash=chain.hash,
                began=time_of(first[2]),
                ended=ended,
                file=f"ledger-{(last.number + 1 if last else 1):06}-{summed[:12]}.jsonl",
                file_sha256=summed,
                prev_seal=last.digest() if last else "",
            )
            path = self._folder / seal.file
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._ledger.notes.all(tx)  # so that the transaction which moves the records knows most notes already
        return _Draft(seal=seal, path=path)

    def _good(self, tx: Tx, chain: Chain, before: str, newest: int) -> Iterator[tuple[int, str, str]]:
        """Yield records that are old enough, each checked, until a segment is full."""
        count = 0
        while page := tx.execute(NEXT, (chain.seq, newest)):
            for seq, digest, mac, record in page:
                if count >= self._records:
                    return
                problem = chain.step(seq, digest, record) if time_of(record) < before else None
                if problem is None and chain.seq != seq:
                    return  # not old enough
                if problem is None and not self._ledger.wrote(digest, mac):
                    problem = ChainProblem(seq=seq, what="was not written by this gateway")
                if problem is not None:
                    raise SealingError(f"{problem.text()}; nothing from there on is moved")
                count += 1
                if count % SLICE == 0:
                    self.rest()
                yield seq, digest, record

    def _move(self, tx: Tx, draft: _Draft, by: str) -> None:
        """Write the seal. Calls wait for this, so whatever grows with the records was found out before."""
        seal = draft.seal
        rows = tx.execute("SELECT coalesce(max(number), 0) FROM segments")
        found = tx.execute("SELECT hash FROM ledger WHERE seq = ?", (seal.last,))
        if rows[0][0] != seal.number - 1 or not found or found[0][0] != seal.last_hash:
            raise SealingError("another process moved these records meanwhile")
        sql = "INSERT INTO segments (number, first_seq, last_seq, seal) VALUES (?, ?, ?, ?)"
        tx.execute(sql, (seal.number, seal.first, seal.last, sign(seal, self._ledger.head)))
        detail = f"segment {seal.number}: records {seal.first} to {seal.last} are in {seal.file}, by {by}"
        self._ledger.carry_notes(tx, "segment sealed", detail)

    def _note_removal(self, tx: Tx, seal: Seal, by: str, now: str) -> None:
        removal = sign(Removal(ledger=seal.ledger, number=seal.number, removed=now, by=by), self._ledger.head)
        tx.execute("UPDATE segments SET removal = ? WHERE number = ?", (removal, seal.number))
        detail = f"segment {seal.number}: the file with records {seal.first} to {seal.last} was removed by {by}"
        self._ledger.append(tx, LedgerEntry(phase="note", outcome="segment removed", detail=detail))


def clear_some(tx: Tx) -> bool:
    """Remove some sealed records; return whether there are more."""
    (sealed,) = tx.execute("SELECT coalesce(max(last_seq), 0) FROM segments")[0]
    (first,) = tx.execute("SELECT coalesce(min(seq), 0) FROM ledger")[0]
    if not first or first > sealed:
        return False
    end = min(sealed, first + BATCH - 1)
    tx.execute("DELETE FROM ledger WHERE seq <= ?", (end,))
    return bool(end < sealed)


def _write_file(path: Path, first: tuple[int, str, str], rows: Iterator[tuple[int, str, str]]) -> tuple[str, str, str]:
    """Write records durably; return the file's SHA-256, the newest time in it and the first record's hash."""
    summed, newest = hashlib.sha256(), ""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for _, digest, record in _chained(first, rows):
            line = line_of(digest, record).encode("ascii") + b"\n"
            summed.update(line)
            file.write(line)
            newest = max(newest, time_of(record))
        file.flush()
        os.fsync(file.fileno())
    return summed.hexdigest(), newest, first[1]


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
