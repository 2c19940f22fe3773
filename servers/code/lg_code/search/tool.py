"""`search_code`: ranks by the index, and tells only what the files hold now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lg_code.index.index import Index
from lg_code.index.places import below
from lg_code.search.candidates import RankedFile, rank
from lg_code.search.pick import Picked, pick
from lg_code.search.query import Query, understand
from lg_policy.jobs import Job

DEFAULT_RESULTS = 10
MOST_RESULTS = 50
MOST_BYTES = 24_000
"""Bytes of text that one answer may have."""
LOOKED_AT = 4
"""Files that are looked at for each result, in case some are gone, hidden, or have no definition of the kind."""


@dataclass(frozen=True, kw_only=True)
class SearchAnswer:
    """Text for a model to read, and the same as structured content."""

    text: str
    structured: dict[str, Any]


def search_code(index: Index, arguments: dict[str, Any], job: Job) -> SearchAnswer:
    """Answer `search_code`: the files that fit best, each with the definition in it that fits best."""
    query = understand(str(arguments["query"]))
    limit = min(int(arguments.get("limit") or DEFAULT_RESULTS), MOST_RESULTS)
    coverage = index.refresh(job)
    notes = coverage.notes()
    if not query.words:
        return _answer([], [*notes, "the query has no word or name to search for"])
    within = below(index, arguments.get("paths")) or ()
    with index.read() as db:
        candidates = rank(db, query, within, job)
    results, more = tell(index, query, candidates, limit, str(arguments.get("kind") or ""), job)
    if more:
        notes.append(f"{more} more files fit less; limit is {limit}")
    return _answer(results, notes)


def tell(
    index: Index, query: Query, candidates: Sequence[RankedFile], limit: int, kind: str, job: Job
) -> tuple[list[dict[str, Any]], int]:
    """Return the results, read from the files as they are now, and how many files were not looked at."""
    results: list[dict[str, Any]] = []
    size = looked_at = 0
    top = candidates[0].score if candidates else 1.0
    for candidate in candidates[: limit * LOOKED_AT]:
        job.check_time()
        if len(results) == limit or size > MOST_BYTES:
            break
        looked_at += 1
        file = index.current(candidate.path, job)
        if file is None or not file.text:
            continue
        same = file.source.digest == candidate.digest
        picked = pick(file, query, candidate.piece if same else None, kind)
        if picked is None:
            continue
        entry = _entry(file.path, picked, candidate.score / top if top else 0.0)
        size += len(entry["snippet"]) + len(entry["path"]) + len(entry["symbol"])
        results.append(entry)
    return results, len(candidates) - looked_at


def _entry(path: str, picked: Picked, score: float) -> dict[str, Any]:
    symbol = picked.symbol
    return {
        "path": path,
        "start_line": picked.first_line,
        "end_line": picked.last_line,
        "symbol": symbol.qualified if symbol is not None else "",
        "kind": symbol.kind if symbol is not None else "",
        "score": round(score, 3),
        "line": picked.snippet_line,
        "snippet": picked.snippet,
    }


def _answer(results: list[dict[str, Any]], notes: list[str]) -> SearchAnswer:
    lines: list[str] = []
    for entry in results:
        what = f" {entry['kind']} {entry['symbol']}" if entry["symbol"] else ""
        lines.append(f"{entry['path']}:{entry['start_line']}-{entry['end_line']}{what}")
        lines += [f"{number}: {text}" for number, text in enumerate(entry["snippet"].split("\n"), entry["line"])]
    if not results:
        lines.append("Nothing fits.")
    text = "\n".join([*lines, *(f"[{note}]" for note in notes)])
    return SearchAnswer(text=text, structured={"results": results, "total": len(results), "notes": notes})
