"""TOML with line numbers: the standard library's parser for the values, a scan for where they stand."""

from __future__ import annotations

import re
import tomllib

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.manifests.values import Values

_HEADER = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_TOKEN = re.compile(r"\"\"\"|'''|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\[\]#]")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")

Path = tuple[str, ...]


class Toml(Values):
    """A parsed document. `problem` says why it could not be parsed; `data` is empty then."""

    def __init__(self, text: str) -> None:
        super().__init__()
        try:
            self.data = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            self.problem = f"is not valid TOML ({str(error) or type(error).__name__})"
        self._lines = split_lines(text)
        # Only in valid text every string ends, so that the scan goes over each character once.
        self._spans: list[tuple[Path, int]] = [] if self.problem else _scan(self._lines)
        self._first: dict[Path, int] = {}
        for index, (path, _) in enumerate(self._spans):
            self._first.setdefault(path, index)

    def line(self, *path: str, item: str | None = None) -> int:
        """Return line of the key; with `item`, of the first line from there to the next key that contains that text.

        A key inside an inline table is found by its text too. Falls back to the enclosing key or table, then to 1.
        """
        for length in range(len(path), 0, -1):
            index = self._first.get(path[:length])
            if index is not None:
                known, start = self._spans[index]
                wanted = item if item is not None else (path[-1] if length < len(path) else None)
                return self._within(start, self._end(index, known), wanted) if wanted else start
        return 1

    def _end(self, index: int, known: Path) -> int:
        for later, start in self._spans[index + 1 :]:
            if later[: len(known)] != known:
                return start - 1
        return len(self._lines)

    def _within(self, start: int, end: int, wanted: str) -> int:
        for spelling in (f'"{wanted}"', f"'{wanted}'", wanted):
            for number in range(start, end + 1):
                if spelling in self._lines[number - 1]:
                    return number
        return start


def _scan(lines: list[str]) -> list[tuple[Path, int]]:
    """Every table header and key with its full path, in order; multi-line strings and arrays are passed by."""
    spans: list[tuple[Path, int]] = []
    table: Path = ()
    quote, depth = "", 0
    for number, line in enumerate(lines, start=1):
        value = line
        if not quote and depth == 0:
            header = _HEADER.match(line)
            key = None if header else _KEY.match(line)
            if header:
                table = _path(header[1])
                spans.append((table, number))
                continue
            if key:
                spans.append((table + _path(key[1]), number))
                value = line[key.end() :]
        quote, depth = _state(value, quote, depth)
    return spans


def _state(line: str, quote: str, depth: int) -> tuple[str, int]:
    """Multi-line string and bracket depth at the end of the line."""
    at = 0
    while at < len(line):
        if quote:
            end = line.find(quote, at)
            at = end + len(quote) if end >= 0 else len(line)
            quote = "" if end >= 0 else quote
            continue
        match = _TOKEN.search(line, at)
        if match is None:
            break
        at = match.end()
        piece = match[0]
        if piece in ('"""', "'''"):
            quote = piece
        elif piece == "#":
            break
        elif piece in "[]":
            depth = max(0, depth + (1 if piece == "[" else -1))
    return quote, depth


def _path(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
