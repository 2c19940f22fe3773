"""What one file defines."""

from __future__ import annotations

from typing import Any

from lg_code.answers.answer import Answer, reader_note, symbol_entry, with_notes
from lg_code.index.index import Index
from lg_policy.jobs import Job

_DEFAULT = 200


def outline(index: Index, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `outline`. The file is read and, if it changed, parsed now: no index is needed."""
    file = index.named(arguments["path"], job)
    limit = min(int(arguments.get("limit") or _DEFAULT), index.settings.max_results)
    notes = reader_note(file)
    shown = file.symbols[:limit]
    if len(shown) < len(file.symbols):
        notes.append(f"{len(file.symbols) - len(shown)} more definitions; limit is {limit}")
    entries = [symbol_entry(file, symbol) for symbol in shown]
    lines = [f"{file.path} ({file.language}, {file.lines} lines)"]
    for symbol, entry in zip(shown, entries, strict=True):
        depth = symbol.parent.count(".") + 1 if symbol.parent else 0
        lines.append(f"{'  ' * depth}{symbol.start_line}-{symbol.end_line} {entry['signature'] or symbol.name}")
    if not entries:
        lines.append("(no definitions)")
    structured = {
        "path": file.path,
        "language": file.language,
        "reader": file.reader,
        "lines": file.lines,
        "symbols": entries,
        "total": len(file.symbols),
        "notes": notes,
    }
    return Answer(text=with_notes(lines, notes), structured=structured)
