"""Draws a diff: lines that are added and removed, file by file, with the colours of their language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lg_console.drawing.colours import Colouring, language_of
from lg_console.markup.elements import Child, Markup, markup, tag

LINES = 5_000
CHARACTERS = 1_000_000
_HEAD = re.compile(r"(\| {1,20})--- [^\n]*")
COLOURED = 60_000
"""Characters of markup after which lines are no longer coloured, so that a page stays light."""


def diff_picture(diff: str, characters: int = CHARACTERS) -> Markup:
    """Return a diff, cut after so many lines or characters, which it says."""
    lines = diff.split("\n")
    most = min(LINES, diff[:characters].count("\n") + 1)
    rest = len(lines) - most
    return tag(
        "div",
        tag("p", f"{min(len(lines), most)} of {len(lines)} lines", class_="lines"),
        tag("pre", *_with_ends(_drawn(lines[:most])), tabindex="0", class_="diff", role="region", aria_label="Diff"),
        tag("p", f"{rest} more lines: download changes.patch", class_="note") if rest > 0 else None,
    )


def question_lines(lines: Sequence[str]) -> list[Child]:
    """Return the lines of a question, with those that a diff adds and removes marked."""
    return _with_ends(_asked(lines))


def _asked(lines: Sequence[str]) -> Iterator[Child]:
    """Yield the lines of a question. Quoted ones begin with `| `; a diff may be indented in an argument."""
    drawing, quote = DiffDrawing(), "| "
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        head = _HEAD.fullmatch(line)
        if head is not None and after.startswith(f"{head[1]}+++ "):
            drawing, quote = DiffDrawing(), head[1]
        elif not line.startswith(quote):
            quote = "| "
        if line.startswith("|!"):
            yield tag("span", line, class_="secret")
        elif line.startswith(quote) and line[len(quote) :][:1] in ("+", "-", "@", " "):
            yield drawing.line(line[len(quote) :], quote)
        else:
            yield line


def _drawn(lines: Sequence[str]) -> Iterator[Child]:
    drawing = DiffDrawing()
    for line in lines:
        yield drawing.line(line)


def _with_ends(lines: Iterator[Child]) -> list[Child]:
    found: list[Child] = []
    for line in lines:
        found += [line, "\n"]
    return found[:-1]


class DiffDrawing:
    """Draws the lines of a diff one after another."""

    def __init__(self) -> None:
        self._before: Colouring | None = None
        self._after: Colouring | None = None
        self._path = ""
        self._in_hunk = False
        self._size = 0

    def line(self, line: str, quote: str = "") -> Child:
        """Return one line as it is drawn. `quote` stands before it."""
        kind = self._kind(line)
        if kind == "hunk":
            self._head(line)
            return tag("span", quote + line, class_="hunk")
        side = self._before if kind == "del" else self._after
        if side is None or not self._in_hunk or self._size > COLOURED:
            return tag("span", quote + line, class_=kind) if kind else quote + line
        parts = [tag("i", text, class_=colour) if colour else text for colour, text in side.pieces(line[1:])]
        if not kind and self._before is not None:
            self._before.open = side.open
        drawn = markup(quote + line[:1], *parts)
        self._size += len(drawn)
        return tag("span", drawn, class_=kind) if kind else drawn

    def _kind(self, line: str) -> str:
        if line.startswith(("diff ", "@@")) or (not self._in_hunk and line.startswith(("--- ", "+++ "))):
            return "hunk"
        if line.startswith(("--- a/", "+++ b/", "--- /dev/null", "+++ /dev/null")):
            return "hunk"  # the next file of a diff without lines between
        return {"+": "add", "-": "del"}.get(line[:1], "")

    def _head(self, line: str) -> None:
        if not line.startswith("@@"):
            self._in_hunk = False
            if line.startswith(("--- ", "+++ ")) and not line.endswith("/dev/null"):
                self._path = line[4:].partition("\t")[0]
            return
        self._in_hunk = True
        language = language_of(self._path)
        self._before = Colouring(language) if language is not None else None
        self._after = Colouring(language) if language is not None else None
