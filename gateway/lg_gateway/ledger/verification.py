"""Checks a ledger: in the store, with its keys; or an export, with only a public key or an anchored head."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lg_gateway.ledger.chain import Chain, ChainProblem, read_line, record_hash
from lg_gateway.ledger.head import Head, HeadFile, signature_is_good
from lg_gateway.ledger.seals import Removal, Seal, read_segments, read_signed
from lg_gateway.ledger.segment_files import SEGMENTS, check_file
from lg_gateway.store.canonical_json import canonical
from lg_gateway.store.interface import Tx

LAST_RECORD = "SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1"
IN_ORDER = "SELECT seq, hash, mac, record, request_id, run_id FROM ledger WHERE seq > ? ORDER BY seq LIMIT 1000"


@dataclass(kw_only=True)
class VerificationResult:
    """The outcome of a check.

    `problems` begins with the first bad record and is empty if all is well. `remarks` is what else you should know.
    `records` counts the records that were checked one by one.
    """

    records: int = 0
    problems: list[ChainProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    head: Head | None = None


def examine(
    tx: Tx,
    head_file: HeadFile,
    wrote: Callable[[str, str], bool],
    folder: Path | None,
    since: Head | None = None,
) -> VerificationResult:
    """Check segments, records, their keyed codes, the columns for looking them up, and the signed head.

    With `since`, a head whose signature was checked, only the records after it are checked, and that the store has it.
    """
    verdict = VerificationResult(
        remarks=[f"an earlier head was abandoned: {path.name}" for path in head_file.given_up()]
    )
    try:
        head = head_file.read()
    except (ValueError, OSError) as error:
        verdict.problems.append(ChainProblem(seq=None, what=str(error)))
        return verdict
    if since is not None:
        chain, ledger = Chain(since.seq, since.hash), since.ledger
        verdict.problems += _not_there(tx, since)
    else:
        chain, ledger = _examine_segments(tx, head_file.public_key(), folder, verdict)
    signed: str | None = None
    sealed = chain.seq
    for seq, digest, mac, record, *found_by in () if verdict.problems else _rows(tx, since):
        if 0 < seq <= sealed:  # its removal from the store was interrupted, or goes on
            if record_hash(record) != digest or not wrote(digest, mac):
                verdict.problems.append(ChainProblem(seq=seq, what="is sealed, and the store has another in its place"))
                break
            continue
        problem = chain.step(seq, digest, record) or _found_elsewhere(seq, record, found_by)
        if problem is None and not wrote(digest, mac):
            problem = ChainProblem(seq=seq, what="was not written by this gateway (its keyed code is wrong)")
        verdict.records += 1
        if problem is not None:
            verdict.problems.append(problem)
            break
        ledger = ledger or digest
        if head is not None and seq == head.seq:
            signed = digest
    if not verdict.problems:
        verdict.problems += _against_head(head, signed, chain, ledger)
    verdict.head = Head(ledger=ledger, seq=chain.seq, hash=chain.hash) if chain.seq else None
    return verdict


def verify_export(
    lines: Iterable[str], public_key: str | None = None, anchor: Head | None = None
) -> VerificationResult:
    """Check an export: records in order, seals in place of segments that it leaves out, the signed head at its end.

    `public_key` (base64) is a key that the reader has from elsewhere. `anchor` is a head whose signature was checked.
    With neither, the export is only compared with itself, and a remark says so. Bad lines are problems, not exceptions.
    """
    verdict, chain = VerificationResult(), Chain()
    state = _ExportState(public_key=public_key, anchor=anchor)
    for line in lines:
        problem = _take_line(line, chain, state, verdict)
        if problem is not None:
            verdict.problems.append(problem)
            return verdict
    if chain.seq:
        verdict.head = Head(ledger=state.ledger, seq=chain.seq, hash=chain.hash)
    verdict.problems += _end_of_export(verdict.head, state)
    if public_key is None and anchor is None:
        verdict.remarks.append(
            "the export was only compared with itself; give a public key or a line of `audit head` that you have from"
            " elsewhere"
        )
    return verdict


def last_sealed(tx: Tx) -> list[tuple[int, str]]:
    """Return the number and hash of the newest sealed record, as a row."""
    rows = tx.execute("SELECT seal FROM segments ORDER BY number DESC LIMIT 1")
    return [(int(seal["last"]), str(seal["last_hash"])) for seal in (json.loads(text) for (text,) in rows)]


def sealed_ledger(tx: Tx) -> str:
    """Return the name of the ledger whose first record is sealed; empty when there is none."""
    rows = tx.execute("SELECT seal FROM segments WHERE number = 1")
    return str(json.loads(rows[0][0])["ledger"]) if rows else ""


@dataclass(kw_only=True)
class _ExportState:
    """What was read of an export so far. Signatures are checked with the reader's key, or with the export's own."""

    public_key: str | None
    anchor: Head | None
    ledger: str = ""
    anchored: str | None = None
    signed: Head | None = None


def _take_line(line: str, chain: Chain, state: _ExportState, verdict: VerificationResult) -> ChainProblem | None:
    """Take one line of an export; return what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        return ChainProblem(seq=chain.seq + 1, what="is not an exported record")
    if "seal" in row:
        return _take_seal(row, chain, state, verdict)
    if "head" in row:
        return _take_head(row["head"], state)
    try:
        seq, digest, record = read_line(line)
    except ValueError:
        return ChainProblem(seq=chain.seq + 1, what="is not an exported record")
    verdict.records += 1
    problem = chain.step(seq, digest, record)
    state.ledger = state.ledger or digest
    if state.anchor is not None and seq == state.anchor.seq:
        state.anchored = digest
    return problem


def _take_seal(
    row: dict[str, Any], chain: Chain, state: _ExportState, verdict: VerificationResult
) -> ChainProblem | None:
    key = state.public_key or str(row.get("public_key"))
    seal = read_signed(Seal, row["seal"], key)
    if seal is None:
        return ChainProblem(seq=chain.seq + 1, what="cannot be checked: the seal of its segment was edited")
    if (seal.first, seal.prev_hash) != (chain.seq + 1, chain.hash):
        return ChainProblem(
            seq=chain.seq + 1, what=f"is missing: segment {seal.number} does not follow the records before it"
        )
    state.ledger = state.ledger or seal.ledger
    chain.seq, chain.hash = seal.last, seal.last_hash
    if state.anchor is not None and seal.first <= state.anchor.seq <= seal.last:
        state.anchored = seal.last_hash if state.anchor.seq == seal.last else state.anchor.hash
    removal = read_signed(Removal, row.get("removal"), key)
    why = f"removed {removal.removed} by {removal.by}" if removal is not None else "not in this export"
    verdict.remarks.append(f"records {seal.first} to {seal.last} are sealed and {why}")
    return None


def _take_head(line: Any, state: _ExportState) -> ChainProblem | None:
    signed = read_head_line(json.dumps(line), state.public_key)
    if signed is None:
        return ChainProblem(seq=None, what="the signature of the export's head is wrong, or another gateway signed it")
    state.signed = signed
    return None


def _end_of_export(end: Head | None, state: _ExportState) -> list[ChainProblem]:
    if state.signed is not None and state.signed != end:
        seq = min(state.signed.seq, (end.seq if end else 0) + 1)
        return [
            ChainProblem(seq=seq, what=f"is missing or changed: the export's signed head is record {state.signed.seq}")
        ]
    if state.public_key is not None and state.signed is None:
        return [ChainProblem(seq=None, what="the export has no signed head, so records may be missing at its end")]
    if state.anchor is not None and state.anchor.ledger != state.ledger:
        return [ChainProblem(seq=1, what="is not the record that was anchored: this is another ledger")]
    if state.anchor is not None and state.anchored != state.anchor.hash:
        return [ChainProblem(seq=state.anchor.seq, what="is not the record that was anchored")]
    return []


def head_line(head: Head, file: HeadFile) -> str:
    """Return a head as one line to keep elsewhere, with its signature and the key to check it."""
    body = asdict(head)
    return json.dumps(body | {"signature": file.sign(canonical(body)), "public_key": file.public_key()}, sort_keys=True)


def read_head_line(line: str, public_key: str | None) -> Head | None:
    """Read such a line. Return `None` if it is malformed or not signed by `public_key` (by default the line's own)."""
    try:
        body = json.loads(line)
        signature, own_key = body.pop("signature"), body.pop("public_key")
        head = Head(ledger=body["ledger"], seq=body["seq"], hash=body["hash"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return head if signature_is_good(public_key or own_key, signature, canonical(body)) else None


def _examine_segments(tx: Tx, public_key: str, folder: Path | None, verdict: VerificationResult) -> tuple[Chain, str]:
    """Check the sealed part. Return where the records in the store begin, and the ledger's name if it is known."""
    segments, problem = read_segments(tx.execute(SEGMENTS), public_key)
    for segment in segments:
        seal = segment.seal
        if segment.removal is not None:
            gone = segment.removal
            verdict.remarks.append(
                f"records {seal.first} to {seal.last} are sealed; removed {gone.removed} by {gone.by}"
            )
        elif folder is None:
            verdict.remarks.append(f"records {seal.first} to {seal.last} are sealed; the file {seal.file} is not here")
        else:
            found = check_file(folder / seal.file, seal)
            verdict.records += seal.last - seal.first + 1
            if found is not None:
                verdict.problems.append(found)
                break
    if problem is not None and not verdict.problems:
        verdict.problems.append(problem)
    last = segments[-1].seal if segments else None
    return (Chain(last.last, last.last_hash), last.ledger) if last else (Chain(), "")


def _found_elsewhere(seq: int, record: str, found_by: list[Any]) -> ChainProblem | None:
    """Compare the columns for looking up a record with what the record says."""
    body = json.loads(record)
    if found_by == [body.get("request_id"), body.get("run_id")]:
        return None
    return ChainProblem(seq=seq, what="was edited (its row names another call or run)")


def _against_head(head: Head | None, signed: str | None, chain: Chain, ledger: str) -> list[ChainProblem]:
    if head is None:
        return [ChainProblem(seq=None, what="there is no signed head in the key directory")] if chain.seq else []
    if chain.seq < head.seq:
        what = f"is missing: the signed head is record {head.seq}, the store ends at {chain.seq}"
        what += "; if you removed it on purpose, run `lg-gateway audit restart --reason TEXT`"
        return [ChainProblem(seq=chain.seq + 1, what=what)]
    if ledger != head.ledger:
        return [ChainProblem(seq=1, what="is not the first record of the signed ledger: this is another ledger")]
    if signed is not None and signed != head.hash:
        return [ChainProblem(seq=head.seq, what="is not the record that was signed: the chain was rewritten")]
    return []


def _not_there(tx: Tx, since: Head) -> list[ChainProblem]:
    """Return why the check cannot begin behind a head."""
    rows = tx.execute("SELECT hash FROM ledger WHERE seq = ?", (since.seq,))
    if not rows:
        what = "is not in the store: it is sealed, or gone; check the whole ledger, without --since"
        return [ChainProblem(seq=since.seq, what=what)]
    if rows[0][0] != since.hash:
        return [ChainProblem(seq=since.seq, what="is not the record of that head: the chain was rewritten")]
    return []


def _rows(tx: Tx, since: Head | None) -> Iterator[tuple[Any, ...]]:
    """Read the table page by page, in order, so that a ledger of any length fits in memory."""
    after = since.seq if since is not None else -(2**62)
    while page := tx.execute(IN_ORDER, (after,)):
        yield from page
        after = page[-1][0]
