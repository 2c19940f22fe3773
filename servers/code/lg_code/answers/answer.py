"""What a tool answers, and the pieces that all answers share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lg_code.index.current import CurrentFile
from lg_code.parsing.facts import Symbol

MAX_SIGNATURE = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Text for a model to read, and the same as structured content."""

    text: str
    structured: dict[str, Any]


def with_notes(lines: Iterable[str], notes: Sequence[str]) -> str:
    """Return lines as text, and after them what the answer does not know."""
    return "\n".join([*lines, *(f"[{note}]" for note in notes)])


def signature(file: CurrentFile, symbol: Symbol) -> str:
    """Return the head of a definition in one line: up to its body, and not beyond its end."""
    first = _name_line(file, symbol)
    words: list[str] = []
    depth = 0
    for line in range(first, min(symbol.end_line, first + 12) + 1):
        text = file.line_text(line).strip()
        words.append(text)
        depth += sum(map(text.count, "([")) - sum(map(text.count, ")]"))
        if depth <= 0 or sum(map(len, words)) > MAX_SIGNATURE:
            break
    joined = " ".join(words)
    if symbol.kind in ("class", "function", "method", "struct", "interface", "trait", "impl", "enum", "module"):
        joined = joined.removesuffix("{").rstrip().removesuffix(":").rstrip()
    return joined if len(joined) <= MAX_SIGNATURE else joined[: MAX_SIGNATURE - 1] + "…"


def _name_line(file: CurrentFile, symbol: Symbol) -> int:
    """Return the line with the name: decorators, attributes and `template <…>` may stand before it."""
    name = symbol.name
    for line in range(symbol.start_line, min(symbol.end_line, symbol.start_line + 30) + 1):
        text = file.line_text(line)
        if name in text and not text.lstrip().startswith(("@", "#[", "//", "/*", "*")):
            return line
    return symbol.start_line


def symbol_entry(file: CurrentFile, symbol: Symbol) -> dict[str, Any]:
    """Return a symbol as structured content."""
    return {
        "name": symbol.name,
        "kind": symbol.kind,
        "parent": symbol.parent,
        "path": file.path,
        "start_line": symbol.start_line,
        "end_line": symbol.end_line,
        "signature": signature(file, symbol),
    }


def reader_note(file: CurrentFile) -> list[str]:
    """Return what a reader must know about how a file was read."""
    if file.reader == "none":
        return [f"{file.path} could not be read: {file.problem}"]
    if file.reader == "lines":
        why = f": {file.problem}" if file.problem else ", for want of a grammar"
        return [f"{file.path} was read line by line{why}; definitions may be missing"]
    return [f"{file.path}: {file.problem}; definitions there may be missing"] if file.problem else []
