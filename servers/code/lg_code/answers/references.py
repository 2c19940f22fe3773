"""Who uses a name: calls, imports, definitions and mentions told apart, each with what it stands in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from lg_code.answers.answer import Answer, with_notes
from lg_code.answers.lookup import asked, is_test_path, why_nothing
from lg_code.index.current import CurrentFile
from lg_code.index.index import Index
from lg_code.index.places import Below, below, lies_below
from lg_code.index.rows import files_using, name_id
from lg_code.parsing.facts import CALL, DEF, IMPORT, MENTION, Symbol, unpacked
from lg_code.parsing.pool import ParserDied, Request
from lg_code.parsing.sites import Site
from lg_policy.jobs import Job

KINDS = {"definition": DEF, "call": CALL, "import": IMPORT, "mention": MENTION}
_WORDS = {number: word for word, number in KINDS.items()}
_DEFAULT = 100
_MORE = 50
_TEXT = 200
_MANY = 1_000
_IN_ONE_FILE = 20


class Using(NamedTuple):
    """A file that uses a name, as the index has it."""

    path: str
    kinds: int
    times: int


class FoundInFile(NamedTuple):
    """Uses in one file: those that are told, those that are told if there is room, and how many there are."""

    entries: list[dict[str, Any]]
    spare: list[dict[str, Any]]
    total: int


def references(index: Index, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `references`. What the time or the limit does not allow is named without lines."""
    notes = index.refresh(job).notes()
    wanted = asked(arguments["name"])
    limit = min(int(arguments.get("limit") or _DEFAULT), index.settings.max_results)
    place = below(index, arguments.get("paths"))
    kinds = sum({KINDS[word] for word in arguments.get("kinds") or KINDS})
    using = _using(index, wanted.name, place, kinds)
    found, left = _sites(index, wanted.name, using, kinds, limit, job)
    if not using:
        notes = [*why_nothing(index, wanted, job)[1:], f"no indexed file uses {wanted.name!r}", *notes]
    if wanted.around:
        notes.append(f"found by the name {wanted.name!r} alone: uses of others with that name are among them")
    notes += _left_out(left, len(found) >= limit)
    lines = _lines(found)
    structured = {
        "references": found,
        "files": {word: sum(bool(item.kinds & number) for item in using) for word, number in KINDS.items()},
        "total_files": len(using),
        "more_files": [item.path for item in left[:_MORE]],
        "notes": notes,
    }
    return Answer(text=with_notes(lines or ["(none)"], notes), structured=structured)


def _using(index: Index, name: str, place: Below, kinds: int) -> list[Using]:
    """Return the files that use a name in one of these ways, those that tell most first."""
    with index.read() as db:
        number = name_id(db, name)
        rows = files_using(db, number) if number is not None else []
        paths = dict(db.execute("SELECT id, path FROM files")) if len(rows) > _MANY else {}
        found = []
        for file, use in rows:
            path = paths.get(file) or db.execute("SELECT path FROM files WHERE id = ?", (file,)).fetchone()[0]
            how, count = unpacked(use)
            if how & kinds and lies_below(path, place):
                found.append(Using(path, how, count))
    found.sort(key=lambda item: (_order(item.kinds), is_test_path(item.path), -item.times, item.path))
    return found


def _order(kinds: int) -> int:
    return 0 if kinds & DEF else 1 if kinds & CALL else 2 if kinds & IMPORT else 3


def _sites(
    index: Index, name: str, using: Sequence[Using], kinds: int, limit: int, job: Job
) -> tuple[list[dict[str, Any]], list[Using]]:
    """Return each use with its line, and the files that were not looked at.

    One file with many uses does not take the room of the others; what they leave is filled with the rest of it.
    """
    by_file: list[FoundInFile] = []
    told = spare = 0
    for number, item in enumerate(using):
        if told >= limit or job.deadline.passed() or _is_nearly_late(job):
            return _filled(by_file, limit - told), list(using[number:])
        job.check()
        file = index.current(item.path, job)
        if file is not None:
            sites = [site for site in sites_in(index, file, name) if site.kind & kinds]
            room = min(limit - told, max(_IN_ONE_FILE, limit // 4))
            entries = [_entry(file, site) for site in sites[: room + limit - spare]]
            by_file.append(FoundInFile(entries[:room], entries[room:], len(sites)))
            told, spare = told + len(entries[:room]), spare + len(entries[room:])
    return _filled(by_file, limit - told), []


def _filled(by_file: Sequence[FoundInFile], room: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in by_file:
        entries = item.entries + item.spare[:room]
        room -= len(entries) - len(item.entries)
        if entries and item.total > len(entries):
            entries[-1]["more"] = item.total - len(entries)
        found += entries
    return found


def _is_nearly_late(job: Job) -> bool:
    """Return whether so little time is left that the answer is to be written."""
    left = job.deadline.remaining()
    return left is not None and job.deadline.seconds is not None and left < job.deadline.seconds * 0.1


def sites_in(index: Index, file: CurrentFile, name: str) -> list[Site]:
    """Return where a file uses a name; without its grammar if that ends the parser."""
    request = file.source.request
    if request is None or not name:
        return []
    reader = "grammar" if file.reader == "grammar" else "lines"
    try:
        return index.parsers.sites(_about(request, name, reader))
    except ParserDied:
        try:
            return index.parsers.sites(_about(request, name, "lines"))
        except ParserDied:
            return []


def _about(request: Request, name: str, reader: str) -> Request:
    return Request(
        path=request.path,
        text=request.text,
        language=request.language,
        reader=reader,
        problem=request.problem,
        name=name,
    )


def enclosing(symbols: Sequence[Symbol], place: int) -> Symbol | None:
    """Return the innermost definition around a byte."""
    around = [symbol for symbol in symbols if symbol.start_byte <= place < symbol.end_byte]
    return max(around, key=lambda symbol: symbol.start_byte) if around else None


def _entry(file: CurrentFile, site: Site) -> dict[str, Any]:
    scope = enclosing(file.symbols, site.start_byte)
    kind = _WORDS.get(site.kind, "mention")
    return {
        "path": file.path,
        "line": site.line,
        "kind": f"{kind} in a {site.within}" if site.within else kind,
        "scope": scope.qualified if scope is not None else "",
        "text": file.line_text(site.line).strip()[:_TEXT],
    }


def _lines(found: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    last = ""
    for entry in found:
        if entry["path"] != last:
            last = entry["path"]
            lines.append(last)
        scope = f" in {entry['scope']}" if entry["scope"] else ""
        more = f" (and {entry['more']} more in this file)" if entry.get("more") else ""
        lines.append(f"  {entry['line']}: [{entry['kind']}{scope}] {entry['text']}{more}")
    return lines


def _left_out(left: Sequence[Using], full: bool) -> list[str]:
    if not left:
        return []
    ways = Counter(_WORDS[kind] for item in left for kind in _WORDS if item.kinds & kind)
    told = ", ".join(f"{word} in {count}" for word, count in ways.items())
    why = "raise limit, or give paths or kinds" if full else "the time was over"
    return [f"{len(left)} more files use the name ({told}); {why}"]
