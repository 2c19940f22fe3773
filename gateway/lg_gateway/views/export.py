"""Writes the chain out as lines that `audit verify` can check elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from lg_gateway.ledger.chain import line_of, read_line
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.ledger.seals import Segment, read_segments
from lg_gateway.ledger.segment_files import SEGMENTS, lines_of
from lg_gateway.ledger.verification import head_line
from lg_gateway.store.interface import Tx
from lg_gateway.views.records import Filter, onwards


def export_lines(
    tx: Tx, ledger: Ledger, wanted: Filter | None = None, on_problem: Callable[[str], None] = lambda _text: None
) -> Iterator[str]:
    """Return the lines of an export: what is sealed, what is in the store up to the signed head, and that head."""
    wanted = wanted if wanted is not None else Filter()
    end = ledger.head.read()
    rows = tx.execute(SEGMENTS)
    segments, problem = read_segments(rows, ledger.head.public_key())
    if problem is not None:
        on_problem(problem.text())
    for segment, (_, _, _, text, removal) in zip(segments, rows, strict=False):
        yield from _segment_lines(segment, (text, removal), ledger, wanted)
    after = segments[-1].seal.last if segments else 0
    for seq, digest, record in onwards(tx, wanted, after):
        if end is None or seq > end.seq:
            break  # written after the head was read: nothing in this export would vouch for it
        if wanted.everything():
            yield line_of(digest, record)
        elif wanted.wants(json.loads(record)):
            yield record
    if wanted.everything() and end is not None:
        yield json.dumps({"head": json.loads(head_line(end, ledger.head))})


def _segment_lines(segment: Segment, row: tuple[str, str | None], ledger: Ledger, wanted: Filter) -> Iterator[str]:
    path = ledger.segments / segment.seal.file if ledger.segments is not None else None
    if segment.removal is None and path is not None and path.exists():
        for text in lines_of(path):
            if wanted.everything():
                yield text
                continue
            _, _, record = read_line(text)
            if wanted.wants(json.loads(record)):
                yield record
    elif wanted.everything():
        yield json.dumps({"seal": row[0], "removal": row[1], "public_key": ledger.head.public_key()})
