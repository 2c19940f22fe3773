"""Writes a hunk into the lines of a file: kept lines stay as they are, new ones are written as their neighbours are."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Literal

from lg_fs.patch.document import TextLine
from lg_fs.patch.levels import CLASSES, EXACT, LEADING, SPACES, UNICODE
from lg_fs.patch.model import ADD, KEEP, Hunk, Line
from lg_policy.errors import Conflict

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
_TABS = range(1, 9)
"""How many columns a tab may have."""


def rewritten(lines: Sequence[TextLine], at: int, level: str, hunk: Hunk, eol: str, path: str) -> list[TextLine]:
    """Return the lines that replace the old ones, which begin at `at` and were found at this level.

    Kept lines are the file's own, byte for byte.
    """
    old = [line.text for line in lines[at : at + len(hunk.old)]]
    spelled = _speller(old, level, hunk, at, path)
    foreign_cr = _has_foreign_cr(old, level, hunk)
    breaks = _breaks(lines, at, hunk, eol)
    new: list[TextLine] = []
    for mark, text in hunk.lines:
        if mark == ADD:
            end = next(breaks)
            new.append(TextLine(spelled(text.removesuffix("\r") if foreign_cr or end == "\r\n" else text), end))
            continue
        if mark == KEEP:
            new.append(lines[at])
        at += 1
    return new


def _speller(old: Sequence[str], level: str, hunk: Hunk, at: int, path: str) -> Callable[[str], str]:
    """Return how a new line is written, given how the hunk's old lines differ from the file's."""
    if level not in (LEADING, UNICODE):
        return str
    indented = _reindent(old, hunk, at, path) if level == LEADING else str
    table, form = _foreign_forms(old, hunk), _normal_form(old, hunk)
    return lambda text: form(indented(text).translate(table))


def _breaks(lines: Sequence[TextLine], at: int, hunk: Hunk, eol: str) -> Iterator[str]:
    """Yield the line breaks of the new lines: those of the lines that they replace, or of the line before them."""
    before = lines[at - 1].eol if at else ""
    dropped: list[str] = []
    added = 0
    for mark, _ in (*hunk.lines, Line(KEEP, "")):
        if mark == ADD:
            added += 1
            continue
        if mark == KEEP:
            for n in range(added):
                yield (dropped[min(n, len(dropped) - 1)] if dropped else before) or before or eol
            before, dropped, added = lines[at].eol if at < len(lines) else "", [], 0
        else:
            dropped.append(lines[at].eol)
        at += 1


def _has_foreign_cr(old: Sequence[str], level: str, hunk: Hunk) -> bool:
    """Return whether the patch has carriage returns that the file lacks: an editor's, which must not be written."""
    if level == EXACT or not any(text.endswith("\r") for text in hunk.old):
        return False
    return not any(text.endswith("\r") for text in old)


def _foreign_forms(old: Sequence[str], hunk: Hunk) -> dict[int, str]:
    """Return the typographic forms that only the hunk has, where the file has plain ones, with what is plain."""
    ours, theirs = set(chain.from_iterable(old)), set(chain.from_iterable(hunk.old))
    table: dict[int, str] = {}
    for forms in CLASSES:
        characters = set(map(chr, forms))
        if characters & theirs and not characters & ours:
            table |= forms
    return table


def _normal_form(old: Sequence[str], hunk: Hunk) -> Callable[[str], str]:
    """Return how to compose or decompose letters with accents, if the file does and the hunk does not."""
    ours, theirs = "".join(old), "".join(hunk.old)
    for form in _FORMS:
        if unicodedata.is_normalized(form, ours) and not unicodedata.is_normalized(form, theirs):
            return partial(unicodedata.normalize, form)
    return str


def _reindent(old: Sequence[str], hunk: Hunk, at: int, path: str) -> Callable[[str], str]:
    """Return how the file's indentation differs from the hunk's, so that new lines get the same.

    Raises `Conflict` unless all lines differ in the same way: otherwise the meaning is unclear.
    """
    if _lacks_marks(old, hunk):
        return str
    pairs = {
        (_indent(theirs).translate(SPACES), _indent(ours))
        for theirs, ours in zip(hunk.old, old, strict=True)
        if theirs.strip()
    }
    shift = _tabs(pairs) or _shifted(pairs)
    if shift is None:
        raise Conflict(
            f"a hunk for {path!r} fits at line {at + 1} only if its indentation is ignored, and the difference "
            "is not the same on every line",
            hint=_first_differences(old, hunk, at) + "give the lines with the indentation that the file has",
        )
    return lambda text: shift(_indent(text).translate(SPACES)) + text.lstrip() if text.strip() else text


def _lacks_marks(old: Sequence[str], hunk: Hunk) -> bool:
    """Return whether exactly the kept lines lack one blank: the one that marks them, and not one of the indentation."""
    theirs = [f" {text}" if mark == KEEP and text else text for mark, text in hunk.lines if mark != ADD]
    return list(map(str.rstrip, theirs)) == list(map(str.rstrip, old))


def _tabs(pairs: set[tuple[str, str]]) -> Callable[[str], str] | None:
    """Return how to turn blanks into tabs or tabs into blanks, if that is the difference, for one width of a tab."""
    into_tabs = any("\t" in ours for _, ours in pairs)
    if into_tabs == any("\t" in theirs for theirs, _ in pairs):
        return None
    widths = [
        width
        for width in _TABS
        if all((ours.expandtabs(width), theirs) == (theirs, theirs.expandtabs(width)) for theirs, ours in pairs)
        or all((theirs.expandtabs(width), ours) == (ours, ours.expandtabs(width)) for theirs, ours in pairs)
    ]
    if len(widths) != 1:
        return None
    (width,) = widths
    if not into_tabs:
        return lambda indent: indent.expandtabs(width)
    return lambda indent: "\t" * (len(indent) // width) + " " * (len(indent) % width)


def _shifted(pairs: set[tuple[str, str]]) -> Callable[[str], str] | None:
    """Return how to indent more or less, if that is the same for all lines."""
    shifts = {_shift(theirs, ours) for theirs, ours in pairs}
    if len(shifts) != 1:
        return None
    extra, surplus = shifts.pop()
    return lambda indent: extra + indent.removeprefix(surplus)


def _first_differences(old: Sequence[str], hunk: Hunk, at: int) -> str:
    """Show the first two lines whose indentation differs in two ways."""
    shown: dict[tuple[str, str], str] = {}
    for number, (theirs, ours) in enumerate(zip(hunk.old, old, strict=True), at + 1):
        if theirs.strip():
            pair = _shift(_indent(theirs), _indent(ours))
            shown.setdefault(pair, f"line {number}\nhunk: {theirs[:160]!r}\nfile: {ours[:160]!r}\n")
    return "".join(list(shown.values())[:2])


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _shift(theirs: str, ours: str) -> tuple[str, str]:
    """Return what to add before, and what to remove from, a line of the patch so that it is indented as the file is."""
    if ours.endswith(theirs):
        return ours[: len(ours) - len(theirs)], ""
    if theirs.endswith(ours):
        return "", theirs[: len(theirs) - len(ours)]
    return ours, theirs
