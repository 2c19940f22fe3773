"""A map of the code: the files that matter most, with the definitions that others use, within a number of tokens."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lg_code.answers.answer import Answer, signature, with_notes
from lg_code.answers.tokens import tokens_of
from lg_code.index.current import CurrentFile
from lg_code.index.index import Index
from lg_code.index.places import Below, below, lies_below
from lg_code.index.rows import files_using, name_id
from lg_code.parsing.facts import Symbol
from lg_code.ranking.page_rank import page_rank
from lg_code.ranking.ranks import Ranked, Ranks
from lg_policy.jobs import Job

DEFAULT_TOKENS = 2_000
_FILES = 600
"""Files whose definitions are weighed: those of the highest rank."""
_FOCUS = 20
_UNKNOWN = 3
_WORD = 40
_TRIES = 60
"""Definitions in a row that do not fit, before the map is taken to be full."""
_TRAILER = 60
"""Tokens kept for what is said after the map."""
_MAPPED = ("class", "function", "method", "type", "interface", "struct", "enum", "trait", "module", "macro", "constant")
_ASIDE = frozenset(("test", "tests", "testing", "spec", "specs", "__tests__", "fixtures", "vendor", "third_party"))
_ASIDE_FACTOR = 0.1
_INNER, _PRIVATE, _FOCUSED = 0.5, 0.2, 100.0


class Candidate(NamedTuple):
    """A definition that may come into the map."""

    score: float
    place: int
    name: str
    parent: str
    line: int


@dataclass(kw_only=True)
class MappedFile:
    """A file of the map as it is now, and what of it is shown."""

    file: CurrentFile
    shown: dict[Symbol, str] = field(default_factory=dict)
    by_name: dict[str, list[Symbol]] = field(default_factory=lambda: defaultdict(list))
    """Its definitions by their qualified name: a generated file has tens of thousands."""

    def __post_init__(self) -> None:
        for symbol in self.file.symbols:
            self.by_name[symbol.qualified].append(symbol)


def repo_map(index: Index, ranks: Ranks, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `repo_map`."""
    notes = index.refresh(job).notes()
    budget = min(int(arguments.get("budget_tokens") or DEFAULT_TOKENS), index.settings.map_max_tokens)
    wanted = below(index, arguments.get("paths"))
    focus: Sequence[str] = arguments.get("focus") or ()
    with index.read() as db:
        ranked = ranks.of(db, job, index.keep)
        order, unknown = _order(db, ranked, wanted, focus, job)
        candidates, total = _candidates(db, ranked, order, frozenset(word.rpartition(".")[2] for word in focus), job)
    if unknown:
        more = f" and {len(unknown) - _UNKNOWN} more" if len(unknown) > _UNKNOWN else ""
        named = ", ".join(
            ascii(word[:_WORD]) if not word.isprintable() else word[:_WORD] for word in unknown[:_UNKNOWN]
        )
        notes.append(f"nothing indexed is called {named}{more}")
    room = budget - _TRAILER - sum(map(tokens_of, notes))
    mapped = _fill(index, ranked, candidates, room, job)
    lines = [line for item in mapped.values() for line in _lines(item)]
    shown = sum(len(item.shown) for item in mapped.values())
    left = {"files": max(0, len(order) - len(mapped)), "definitions": max(0, total - shown)}
    if left["definitions"]:  # a file without any is not missing from the map
        notes.append(
            f"left out: {left['definitions']} definitions and {left['files']} files of lower rank; "
            "raise budget_tokens, or name paths or a focus"
        )
    text = with_notes(lines or ["(no definitions)"], notes)
    structured = {
        "files": [_entry(item) for item in mapped.values()],
        "tokens": tokens_of(text),
        "budget_tokens": budget,
        "left_out": left,
        "notes": notes,
    }
    return Answer(text=text, structured=structured)


def _entry(item: MappedFile) -> dict[str, Any]:
    symbols = [[symbol.qualified, symbol.kind, symbol.start_line] for symbol in item.shown]
    return {"path": item.file.path, "language": item.file.language, "symbols": symbols}


def _lines(item: MappedFile) -> list[str]:
    ordered = sorted(item.shown.items(), key=lambda pair: pair[0].start_line)
    return [item.file.path, *(text for _, text in ordered)]


def _order(
    db: sqlite3.Connection, ranked: Ranked, wanted: Below, focus: Sequence[str], job: Job
) -> tuple[list[tuple[float, int]], list[str]]:
    """Return ranks and positions of the files, best first, and what of the focus is not known."""
    graph = ranked.graph
    start: defaultdict[int, float] = defaultdict(float)
    unknown: list[str] = []
    for word in focus[:_FOCUS]:
        found = _meant(db, ranked, word)
        for place in found:
            start[place] += 1.0 / len(found)
        if not found:
            unknown.append(word)
    ranks = page_rank(graph, job, start) if start else ranked.ranks
    scored = [
        (
            (ranks[place] + start.get(place, 0.0)) * (_ASIDE_FACTOR if _is_aside(path) and place not in start else 1.0),
            place,
        )
        for place, path in enumerate(graph.paths)
        if lies_below(path, wanted)
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    return scored, unknown


def _meant(db: sqlite3.Connection, ranked: Ranked, word: str) -> list[int]:
    """Return the files that a word of the focus means: by path, else by a name that they define or use."""
    graph = ranked.graph
    path = word.strip("/")
    found = [place for place, name in enumerate(graph.paths) if name == path or name.startswith(f"{path}/")]
    number = None if found or not word.isprintable() else name_id(db, word.rpartition(".")[2])
    if number is None:
        return found
    place_of = {file: place for place, file in enumerate(graph.files)}
    rows = db.execute("SELECT DISTINCT file FROM symbols WHERE name = ?", (number,)).fetchall()
    files = [row[0] for row in rows] or [file for file, _ in files_using(db, number)]
    return [place_of[file] for file in files if file in place_of]


def _is_aside(path: str) -> bool:
    *folders, name = path.lower().split("/")
    return not _ASIDE.isdisjoint(folders) or name.startswith(("test_", "conftest")) or "_test." in name


def _candidates(
    db: sqlite3.Connection, ranked: Ranked, order: list[tuple[float, int]], focus: frozenset[str], job: Job
) -> tuple[list[Candidate], int]:
    """Return the definitions of the best files, best first, and how many definitions all the files have."""
    marks = ",".join("?" * len(_MAPPED))
    query = (
        "SELECT names.text, symbols.name, parent, start_line FROM symbols "  # noqa: S608 - only marks
        "JOIN names ON names.id = symbols.name "
        f"WHERE file = ? AND kind IN ({marks})"
    )
    found: list[Candidate] = []
    for rank, place in order[:_FILES]:
        job.check_time()
        rows = db.execute(query, (ranked.graph.files[place], *_MAPPED)).fetchall()
        weights = [_weight(ranked, *row[:3]) for row in rows]
        total = sum(weights) or 1.0
        found += [
            Candidate(rank * weight / total * (_FOCUSED if row[0] in focus else 1.0), place, row[0], row[2], row[3])
            for row, weight in zip(rows, weights, strict=True)
        ]
    found.sort(key=lambda item: (-item.score, item.place, item.line))
    if len(order) == len(ranked.graph.files):
        total = db.execute(f"SELECT count(*) FROM symbols WHERE kind IN ({marks})", _MAPPED).fetchone()[0]  # noqa: S608 - only marks
        return found, int(total)
    return found, len(found)


def _weight(ranked: Ranked, name: str, number: int, parent: str) -> float:
    weight = 0.2 + math.sqrt(ranked.graph.used.get(number, 0.0))
    if name.startswith("_"):
        weight *= _PRIVATE
    return weight * (_INNER if parent else 1.0)


def _fill(index: Index, ranked: Ranked, candidates: list[Candidate], room: int, job: Job) -> dict[int, MappedFile]:
    """Take definitions as long as there is room. Each file is compared with its hash before it comes in."""
    mapped: dict[int, MappedFile] = {}
    gone: set[int] = set()
    missed = 0
    for candidate in candidates:
        if missed >= _TRIES or job.late():
            break
        place = candidate.place
        if place in gone:
            continue
        item = mapped.get(place)
        cost = 0
        if item is None:
            file = index.current(ranked.graph.paths[place], job)
            if file is None:
                gone.add(place)
                continue
            item = MappedFile(file=file)
            cost = tokens_of(file.path) + 1
        chain = _chain(item, candidate)
        texts = {symbol: _line(item.file, symbol) for symbol in chain if symbol not in item.shown}
        cost += sum(tokens_of(text) + 1 for text in texts.values())
        if not texts:
            continue
        if cost > room:
            missed += 1
            continue
        missed = 0
        room -= cost
        item.shown.update(texts)
        mapped[place] = item
    return mapped


def _chain(item: MappedFile, candidate: Candidate) -> list[Symbol]:
    """Return the definition as the file has it now, and what it is defined in; nothing if it is no longer there."""
    qualified = f"{candidate.parent}.{candidate.name}" if candidate.parent else candidate.name
    same = [symbol for symbol in item.by_name.get(qualified, ()) if symbol.name == candidate.name]
    if not same:
        return []
    symbol = min(same, key=lambda found: abs(found.start_line - candidate.line))
    parents = candidate.parent.split(".") if candidate.parent else []
    around = [
        other
        for depth in range(1, len(parents) + 1)
        for other in item.by_name.get(".".join(parents[:depth]), ())
        if other.start_byte <= symbol.start_byte and other.end_byte >= symbol.end_byte and other.kind in _MAPPED
    ]
    return [*around, symbol]


def _line(file: CurrentFile, symbol: Symbol) -> str:
    depth = symbol.parent.count(".") + 1 if symbol.parent else 0
    return f"{' ' * (depth + 1)}{symbol.start_line}: {signature(file, symbol) or symbol.name}"
