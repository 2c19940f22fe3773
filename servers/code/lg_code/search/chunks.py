"""Cuts a file into pieces of about the same size, where possible at the beginning of a definition."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
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
    starts = sorted({symbol.start_byte for symbol in symbols})
    chunks: list[Chunk] = []
    start, line = 0, 1
    while start < len(text) and len(chunks) < MOST_CHUNKS:
        end = _end(text, start, starts)
        lines = text.count(b"\n", start, end)
        last = line + lines - (1 if text[end - 1 : end] == b"\n" else 0)
        chunks.append(Chunk(start, end, line, max(line, last)))
        start, line = end, line + lines
    return chunks


def _end(text: bytes, start: int, starts: Sequence[int]) -> int:
    if len(text) - start <= _MOST:
        return len(text)
    place = bisect_left(starts, start + _MOST) - 1
    if place >= 0 and starts[place] >= start + _LEAST:
        return text.rfind(b"\n", start + 1, starts[place]) + 1 or starts[place]
    newline = text.find(b"\n", start + SIZE, start + _MOST + SIZE)
    return newline + 1 if newline >= 0 else start + SIZE
