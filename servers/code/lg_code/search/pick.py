"""Picks what is told of a file: the definition that fits the query best, as the file is now."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lg_code.index.current import CurrentFile
from lg_code.parsing.facts import Symbol
from lg_code.search.chunks import Chunk, cut, cut_one
from lg_code.search.query import Query
from lg_code.search.words import identifiers, words

_PARTS_OF_OTHERS = frozenset(("variable", "constant", "field", "member", "heading"))
"""Kinds that are told only if their name fits."""
_NAME_FITS = 2.0
_ENOUGH = 0.5
"""The part of what fits in a piece that an inner definition must hold to be told instead of an outer one."""
_MOST_TIMES = 3
_SNIPPET_LINES = 3
_LINE = 160
_MOST_SYMBOLS = 2_000


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Lines of a file, what they define, and the few of them that are shown."""

    first_line: int
    last_line: int
    symbol: Symbol | None
    snippet_line: int
    snippet: str


def pick(file: CurrentFile, query: Query, piece: int | None, kind: str) -> Picked | None:
    """Return the lines to tell of a file; `kind` is a kind of definitions, or "" for any.

    `piece` is the best one; `None` if the file changed since it was ranked. `None` is returned when the file has no
    definition of the kind, or no word of the query any more.
    """
    named = [symbol for symbol in file.symbols if symbol.name in query.names and kind in ("", symbol.kind)]
    if named:
        return _of_symbol(file, query, min(named, key=lambda symbol: _importance(symbol, query)))
    place = _place(file, query, piece)
    if place is None:
        return None
    chunk, hits = place
    fitting = [symbol for symbol in file.symbols if _overlaps(symbol, chunk) and kind in ("", symbol.kind)]
    symbol = _best(fitting[:_MOST_SYMBOLS], hits, query, any_kind=bool(kind))
    if symbol is None:
        return None if kind else _of_lines(file, chunk, hits)
    return _of_symbol(file, query, symbol, hits)


def _place(file: CurrentFile, query: Query, piece: int | None) -> tuple[Chunk, dict[int, float]] | None:
    """Return the piece that fits best and what fits on its lines; `None` for a changed file without such a piece."""
    known = cut_one(file.text, file.symbols, piece) if piece is not None else None
    if known is not None:
        return known, _hits(file.text, known, query)
    found = [(chunk, _hits(file.text, chunk, query)) for chunk in cut(file.text, file.symbols)]
    best = max(found, key=lambda item: sum(item[1].values()), default=None)
    return best if best is not None and best[1] else None


def _importance(symbol: Symbol, query: Query) -> tuple[bool, bool, int]:
    """Return what sorts definitions of a wanted name: what is no part of others first, then by place."""
    inside = any(part in query.words for part in words(symbol.parent)) if symbol.parent else False
    return (symbol.kind in _PARTS_OF_OTHERS, not inside and bool(symbol.parent), symbol.start_line)


def _hits(text: bytes, chunk: Chunk, query: Query) -> dict[int, float]:
    """Return for each line of a piece how much of the query stands there; a word counts three times at most."""
    wanted = set(query.words)
    times = dict.fromkeys(wanted, 0)
    found: dict[int, float] = {}
    may_have = _beginnings(query.words)
    for number, line in enumerate(text[chunk.start : chunk.end].split(b"\n"), chunk.first_line):
        if may_have.search(line) is None:
            continue
        for name in identifiers(line):
            for word in wanted.intersection(words(name.decode("utf-8", "replace"))):
                times[word] += 1
                if times[word] <= _MOST_TIMES:
                    found[number] = found.get(number, 0.0) + 1.0
    return found


@lru_cache(maxsize=64)
def _beginnings(wanted: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return what every line with one of these words has: a word begins as its stem does, but for a last `y`."""
    parts = [re.escape(word.removesuffix("y").encode("utf-8", "replace")) for word in wanted if word.isascii()]
    beyond = [b"[\x80-\xff]"] if len(parts) < len(wanted) else []
    return re.compile(b"|".join([*parts, *beyond]) or b"(?!)", re.IGNORECASE)


def _overlaps(symbol: Symbol, chunk: Chunk) -> bool:
    return symbol.start_line <= chunk.last_line and symbol.end_line >= chunk.first_line


def _best(symbols: Sequence[Symbol], hits: Mapping[int, float], query: Query, *, any_kind: bool) -> Symbol | None:
    """Return the innermost definition that holds enough of what fits; one whose name fits holds more."""
    wanted = set(query.words)
    held: list[tuple[float, int, Symbol]] = []
    for symbol in symbols:
        by_name = len(wanted.intersection(words(symbol.name)))
        if symbol.kind in _PARTS_OF_OTHERS and not by_name and not any_kind:
            continue
        inside = sum(hit for line, hit in hits.items() if symbol.start_line <= line <= symbol.end_line)
        held.append((inside + _NAME_FITS * by_name, symbol.end_line - symbol.start_line, symbol))
    if not held:
        return None
    enough = _ENOUGH * max(fits for fits, _, _ in held)
    return min((lines, -fits, symbol.start_line, symbol) for fits, lines, symbol in held if fits >= enough)[3]


def _of_symbol(file: CurrentFile, query: Query, symbol: Symbol, hits: Mapping[int, float] | None = None) -> Picked:
    inside = {line: hit for line, hit in (hits or {}).items() if symbol.start_line <= line <= symbol.end_line}
    at = symbol.start_line if symbol.name in query.names or not inside else _densest(inside)
    return Picked(
        first_line=symbol.start_line,
        last_line=symbol.end_line,
        symbol=symbol,
        snippet_line=at,
        snippet=_snippet(file.text, symbol.start_byte, at - symbol.start_line, symbol.end_line - at),
    )


def _of_lines(file: CurrentFile, chunk: Chunk, hits: Mapping[int, float]) -> Picked:
    at = _densest(hits) if hits else chunk.first_line
    return Picked(
        first_line=chunk.first_line,
        last_line=chunk.last_line,
        symbol=None,
        snippet_line=at,
        snippet=_snippet(file.text, chunk.start, at - chunk.first_line, chunk.last_line - at),
    )


def _densest(hits: Mapping[int, float]) -> int:
    return min(hits, key=lambda line: (-sum(hits.get(line + more, 0.0) for more in range(_SNIPPET_LINES)), line))


def _snippet(text: bytes, start: int, down: int, more: int) -> str:
    """Return a few lines: the one `down` lines below that of byte `start`, and at most `more` after it."""
    place = text.rfind(b"\n", 0, start) + 1
    for _ in range(down):
        place = text.find(b"\n", place) + 1
    lines: list[str] = []
    for _ in range(min(more + 1, _SNIPPET_LINES)):
        end = text.find(b"\n", place)
        end = len(text) if end < 0 else end
        lines.append(text[place : min(end, place + _LINE)].decode("utf-8", "replace").rstrip("\r"))
        place = end + 1
        if place >= len(text):
            break
    return "\n".join(lines).rstrip()
