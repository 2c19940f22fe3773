"""Reads a file without a grammar, line by line: definitions by the words that begin them, every other name a mention.

Each line is looked at once and only its first characters, so a line of any length costs no more than a short one.
"""

from __future__ import annotations

import re

from lg_code.parsing.facts import MAX_NAME, MAX_SYMBOLS, TOO_MANY, Facts, Symbol
from lg_code.parsing.tokens import mentions, names_in

_LOOKED_AT = 300
_MAX_LINES_OF_ONE = 400
_BEFORE = (
    rb"(?:export|public|private|protected|internal|static|abstract|final|async|pub(?:\([a-z]{1,9}\))?|default|local"
    rb"|override|open|virtual|inline|unsafe|declare|sealed|data)"
)
_DEFINITION = re.compile(
    rb"([ \t]*)(?:" + _BEFORE + rb"[ \t]+){0,5}"
    rb"(def|class|function|func|fun|fn|sub|proc|struct|enum|interface|trait|module|macro|type|defmodule|defp|object)"
    rb"[ \t]+(?:self\.)?([A-Za-z_\x80-\xff][\w\x80-\xff]{0,199}[?!]?)"
)
_HEADING = re.compile(rb"(#{1,6})[ \t]+(\S[^\n]{0,150}?)[ \t#]*$")
_KINDS = {
    b"def": "function",
    b"class": "class",
    b"struct": "struct",
    b"enum": "enum",
    b"interface": "interface",
    b"trait": "trait",
    b"module": "module",
    b"defmodule": "module",
    b"macro": "macro",
    b"type": "type",
    b"object": "class",
}
_MARKDOWN = ("md", "markdown", "mdx", "rst")


def read_lines(path: str, text: bytes, language: str, problem: str) -> Facts:
    """Return what can be told about a file without a grammar."""
    markdown = path.rpartition(".")[2].lower() in _MARKDOWN
    found: list[tuple[int, bytes, str, int, int]] = []  # indentation, name, kind, line, byte
    start, number = 0, 0
    while start < len(text) and len(found) < MAX_SYMBOLS:
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        number += 1
        line = text[start : min(end, start + _LOOKED_AT)]
        definition = _heading(line) if markdown else _definition(line)
        if definition is not None:
            found.append((*definition, number, start))
        start = end + 1
    lines = text.count(b"\n") + (1 if text and not text.endswith(b"\n") else 0)
    return Facts(
        language=language,
        reader="lines",
        lines=lines,
        symbols=_symbols(found, lines, len(text)),
        uses=mentions(names_in(text, language)),
        problem=problem if start >= len(text) else f"{problem}; {TOO_MANY}".removeprefix("; "),
    )


def _definition(line: bytes) -> tuple[int, bytes, str] | None:
    found = _DEFINITION.match(line)
    if found is None:
        return None
    return len(found[1].expandtabs(4)), found[3], _KINDS.get(found[2], "function")


def _heading(line: bytes) -> tuple[int, bytes, str] | None:
    found = _HEADING.match(line)
    return None if found is None else (len(found[1]), found[2], "heading")


def _symbols(found: list[tuple[int, bytes, str, int, int]], lines: int, size: int) -> list[Symbol]:
    """Give each definition an end: where the next one begins that is not further in."""
    symbols: list[Symbol] = []
    open_ones: list[tuple[int, int]] = []  # indentation, index of symbols
    ends: dict[int, tuple[int, int]] = {}
    for indentation, name, kind, line, start in found:
        while open_ones and open_ones[-1][0] >= indentation:
            ends[open_ones.pop()[1]] = (line - 1, start)
        parent = symbols[open_ones[-1][1]].name if open_ones and kind != "heading" else ""
        open_ones.append((indentation, len(symbols)))
        text = name.decode("utf-8", "replace")[:MAX_NAME]
        symbols.append(Symbol(text, kind, parent, line, line, start, start))
    made: list[Symbol] = []
    for index, symbol in enumerate(symbols):
        last, end = ends.get(index, (lines, size))
        last = max(symbol.start_line, min(last, symbol.start_line + _MAX_LINES_OF_ONE))
        made.append(symbol._replace(end_line=last, end_byte=max(symbol.start_byte, end)))
    return made
