"""Where a name is defined, and the whole definition."""

from __future__ import annotations

from typing import Any

from lg_code.answers.answer import Answer, reader_note, symbol_entry, with_notes
from lg_code.answers.lookup import FoundSymbol, asked, find, why_nothing
from lg_code.index.index import Index
from lg_code.index.places import below
from lg_policy.errors import NotFound
from lg_policy.jobs import Job

_DEFAULT = 20
_READ_AT_ONCE = 5
_COMMENTS = ("#", "//", "/*", "*", "*/", "--", "@", "///", '"""')


def find_symbol(index: Index, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `find_symbol`."""
    notes = index.refresh(job).notes()
    wanted = asked(arguments["name"])
    limit = min(int(arguments.get("limit") or _DEFAULT), index.settings.max_results)
    lookup = find(index, wanted, below(index, arguments.get("paths")), arguments.get("kind"), limit, job)
    if not lookup.found:
        notes = [*why_nothing(index, wanted, job), *notes]
    elif lookup.match != "exact":
        notes.insert(0, f"nothing is called exactly {wanted.name!r}; these match {_MATCHES[lookup.match]}")
    if lookup.total > len(lookup.found):
        notes.append(f"{lookup.total - len(lookup.found)} more; raise limit, or give kind or paths")
    entries = [symbol_entry(item.file, item.symbol) for item in lookup.found]
    lines = [
        f"{entry['path']}:{entry['start_line']}-{entry['end_line']} {entry['kind']} {item.symbol.qualified}"
        f"\n    {entry['signature']}"
        for entry, item in zip(entries, lookup.found, strict=True)
    ]
    structured = {"symbols": entries, "match": lookup.match, "total": lookup.total, "notes": notes}
    return Answer(text=with_notes(lines or ["(none)"], notes), structured=structured)


_MATCHES = {"ignoring case": "when case is ignored", "part": "in part"}


def read_symbol(index: Index, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `read_symbol`. Raises `NotFound` when nothing is defined under the name."""
    notes = index.refresh(job).notes()
    wanted = asked(arguments["name"])
    given = arguments.get("path")
    place = below(index, [given]) if given else None
    lookup = find(index, wanted, place, arguments.get("kind"), _READ_AT_ONCE, job)
    found = lookup.found if lookup.match != "part" else []
    if not found:
        raise NotFound(
            "; ".join(why_nothing(index, wanted, job)), hint="; ".join(notes) or "find_symbol finds parts of names"
        )
    if lookup.total > len(found):
        notes.append(f"{lookup.total - len(found)} more definitions of this name; give path, or Class.name")
    room = index.settings.max_reply_bytes
    entries: list[dict[str, Any]] = []
    lines: list[str] = []
    for item in found:
        entry = _whole(item, room)
        room = max(0, room - len(entry["text"].encode()))
        entries.append(entry)
        lines += [f"{entry['path']}:{entry['start_line']}-{entry['end_line']}", entry["text"].rstrip("\n")]
        if entry["truncated"]:
            notes.append(f"{entry['name']} is cut: read on in {entry['path']} with read_file")
        notes += [note for note in reader_note(item.file) if note not in notes]
    return Answer(text=with_notes(lines, notes), structured={"symbols": entries, "total": lookup.total, "notes": notes})


def _whole(item: FoundSymbol, room: int) -> dict[str, Any]:
    file, symbol = item
    first = _with_comments(item)
    text = file.lines_text(first, symbol.end_line)
    data = text.encode()
    cut = len(data) > room
    return {
        **symbol_entry(file, symbol),
        "start_line": first,
        "text": data[:room].decode("utf-8", "ignore") if cut else text,
        "truncated": cut,
    }


def _with_comments(item: FoundSymbol) -> int:
    """Return the line where the comment or the attributes right above a definition begin, else its own."""
    file, symbol = item
    first = symbol.start_line
    while first > 1 and symbol.start_line - first < 40:
        above = file.line_text(first - 1).strip()
        if not above.startswith(_COMMENTS) and not (above.startswith("[") and above.endswith("]")):
            break
        first -= 1
    return first
