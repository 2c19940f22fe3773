"""Cuts a file into pieces of about the same size, where possible at the beginning of a definition."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from lg_code.parsing.facts import Symbol

SIZE = 1_500
"""Bytes of a piece: about 40 lines."""
_LEAST, _MOST = 900, 2_200
CHUNK_BITS = 10
MOST_CHUNKS = 1 << CHUNK_BITS
"""Pieces of one file. What is behind them is not searched."""


class Chunk(NamedTuple):
    """Bytes from `start` to before `end`, and the lines that they are, both included."""

    start: int
    end: int
    first_line: int
    last_line: int


def cut(text: bytes, symbols: Sequence[Symbol]) -> list[Chunk]:
    """Return the pieces of a text. The same text and symbols give the same pieces."""
    chunks: list[Chunk] = []
    line = 1
    for start, end in _bounds(text, symbols):
        lines = text.count(b"\n", start, end)
        chunks.append(Chunk(start, end, line, max(line, line + lines - text.endswith(b"\n", start, end))))
        line += lines
    return chunks


def cut_one(text: bytes, symbols: Sequence[Symbol], number: int) -> Chunk | None:
    """Return one of the pieces of a text, as `cut` does; `None` if there are fewer."""
    found = next(islice(_bounds(text, symbols), number, None), None)
    if found is None:
        return None
    start, end = found
    line = 1 + text.count(b"\n", 0, start)
    last = line + text.count(b"\n", start, end) - text.endswith(b"\n", start, end)
    return Chunk(start, end, line, max(line, last))


def _bounds(text: bytes, symbols: Sequence[Symbol]) -> Iterator[tuple[int, int]]:
    starts = sorted({symbol.start_byte for symbol in symbols})
    start = number = 0
    while start < len(text) and number < MOST_CHUNKS:
        end = _end(text, start, starts)
        yield start, end
        start, number = end, number + 1


def _end(text: bytes, start: int, starts: Sequence[int]) -> int:
    if len(text) - start <= _MOST:
        return len(text)
    place = bisect_left(starts, start + _MOST) - 1
    if place >= 0 and starts[place] >= start + _LEAST:
        return text.rfind(b"\n", start + 1, starts[place]) + 1 or starts[place]
    newline = text.find(b"\n", start + SIZE, start + _MOST + SIZE)
    return newline + 1 if newline >= 0 else start + SIZE
