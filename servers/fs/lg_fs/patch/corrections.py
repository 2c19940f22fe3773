"""Corrects a hunk that fits nowhere as it is, where only one meaning is left.

Models copy the line numbers that `read_file` shows, escape a patch as HTML or JSON, and write `...` for lines that they
leave out. Each correction is taken only if the corrected lines are in the file in one place.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lg_fs.patch.levels import ESCAPES, EXACT, LEFT_OUT, NUMBERS, TRAILING, WorkingLines, normalised
from lg_fs.patch.line_runs import Step, find_runs
from lg_fs.patch.model import ADD, DROP, KEEP, Hunk, Line

_NUMBERED = re.compile(r"\s*(\d{1,9})(\t|: ?| ?\| ?|\u2192)")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#39|#x27|#34);|\\u00(?:3[cCeE]|2[267])")
_RAW = re.compile(r"[<>]|&(?!(?:lt|gt|amp|quot|apos|nbsp|#39|#x27|#34);)")
_TABS = re.compile(r"(?:\\t)+")
"""The indentation of a line whose tabs are written out."""
_BACKSLASHES = (
    (re.compile(r"\\[\"\\]"), re.compile(r"[\"\\]")),
    (re.compile(r"\\['\\]"), re.compile(r"['\\]")),
    (re.compile(r"(?:\\u[0-9a-fA-F]{4})+"), re.compile(r"[^\x00-\x7f]")),
    (re.compile(r"\\[_*]"), re.compile(r"[_*]")),
)
"""Escapes, each with what shows that not all of the hunk is escaped."""
_MAX_LEFT_OUT = 120
_MAX_PIECES = 10
_LEFT_OUT = re.compile(
    r"(?P<comment>#|//|--|;|%|/\*|<!--|\{/\*)?\s*[(\[]?(?:\.{3}|\u2026)(?P<words>[\w ,:'/-]*)(?:\.{3}|\u2026)?[)\]]?"
    r"\s*(?:\*/\}?|-->)?"
)
_UNCHANGED = re.compile(
    r"(?:#|//|--|;|%|/\*|<!--|\{/\*|[(\[])\s*(?:\.{3}|\u2026)?[(\[]?\s*(?:keep |leave |the |all |and |your )*"
    r"(?:(?:rest|remainder) of (?:the |your |this )?(?:\w+ ){0,2}?(?:code|file|function|methods?|class|implementation|"
    r"lines|content|body|module)|(?:existing|remaining|unchanged|previous|other) (?:\w+ )?(?:code|lines|content|"
    r"implementation|functions?|methods?|imports)|(?:code |lines |everything else )?unchanged|unchanged code)"
    r"[\w ,:'/-]{0,60}\s*(?:\.{3}|\u2026)?\s*[)\]]?\s*(?:\*/\}?|-->)?",
    re.IGNORECASE,
)
"""A remark without dots that lines stay, such as `// rest of the code unchanged`."""
_SAYS_SO = re.compile(r"\b(?:existing|rest|remaining|remainder|unchanged|same|omitted|previous|other)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A hunk as it was meant, where it is in the file, and what had to be corrected."""

    hunk: Hunk
    places: Sequence[int]
    kind: str


def corrected(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> Corrected | None:
    """Return the hunk as it was meant, with each place where it fits; `None` if no correction makes it fit."""
    return (
        _without_numbers(hunk, lines, floor)
        or _without_escapes(hunk, lines, floor, step)
        or _without_backslashes(hunk, lines, floor, step)
        or _without_blank_ends(hunk, lines, floor, step)
        or _filled_in(hunk, lines, floor, step)
    )


def stands_for_lines(text: str) -> bool:
    """Return whether a line stands for lines that were left out, such as `# ... existing code ...`."""
    text = text.strip()
    return len(text) <= _MAX_LEFT_OUT and _LEFT_OUT.fullmatch(text) is not None


def says_unchanged(text: str) -> bool:
    """Return whether a line says that lines of the file stay as they are, such as `# ... existing code ...`."""
    text = text.strip()
    return (stands_for_lines(text) and _SAYS_SO.search(text) is not None) or (
        len(text) <= _MAX_LEFT_OUT and _UNCHANGED.fullmatch(text) is not None
    )


def loses_lines(hunk: Hunk) -> str | None:
    """Return a line by which a hunk would replace lines with a remark that these stay; `None` if it has none."""
    if any(mark == DROP and stands_for_lines(text) for mark, text in hunk.lines):
        return None  # the file itself has such lines, or the error for what is removed says it
    dropped = added = 0
    found: str | None = None
    for mark, text in (*hunk.lines, Line(KEEP, "")):
        if mark == DROP:
            dropped += 1
        elif mark == ADD:
            added += 1
            found = found or (text.strip() if dropped and says_unchanged(text) else None)
        else:
            if found is not None and (stands_for_lines(found) or added < dropped):
                return found
            dropped = added = 0
            found = None
    return None


def is_escaped(texts: Sequence[str]) -> bool:
    """Return whether lines have escapes of HTML, or of JSON for characters of HTML."""
    return any(map(_ENTITY.search, texts))


def _without_numbers(hunk: Hunk, lines: WorkingLines, floor: int) -> Corrected | None:
    """Remove line numbers, if each old line is in the file under its number. New lines have numbers too, or none."""
    split = [(mark, text, _NUMBERED.match(text)) for mark, text in hunk.lines]
    old = [found for mark, _, found in split if mark != ADD]
    if not old or not all(old):
        return None
    styles = {(found.start(2), found[2]) for found in old if found}  # where the numbers end, and what follows them
    numbers = [int(found[1]) for found in old if found]
    counts = range(numbers[0], numbers[-1] + len(split) + 1)
    new = [
        found is not None and (found.start(2), found[2]) in styles and int(found[1]) in counts
        for mark, text, found in split
        if mark == ADD and text.strip()
    ]
    if any(new) != all(new):
        return None
    plain = tuple(
        Line(mark, text[found.end() :] if found and (mark != ADD or all(new)) else text) for mark, text, found in split
    )
    meant = replace(hunk, lines=plain)
    at = numbers[0] - 1
    real = lines.texts(TRAILING)[at : at + len(numbers)] if at >= 0 else []
    if at < floor or numbers != list(range(at + 1, at + 1 + len(numbers))) or real != normalised(meant.old, TRAILING):
        return None
    return Corrected(hunk=meant, places=[at], kind=NUMBERS)


def _without_escapes(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> Corrected | None:
    """Replace HTML or JSON escapes by what they stand for, if nothing in the hunk is without them.

    Tabs that are written out as `\\t` are meant as such before the text of a line only.
    """
    texts = [line.text for line in hunk.lines]
    plain = texts
    if is_escaped(hunk.old) and not any(map(_RAW.search, texts)):
        plain = [_unescaped(text) for text in texts]
    if any(map(_TABS.match, hunk.old)) and not any("\t" in text for text in texts):
        plain = [_TABS.sub(_as_tabs, text, count=1) if _TABS.match(text) else text for text in plain]
    if plain == texts:
        return None
    meant = replace(hunk, lines=tuple(Line(mark, text) for (mark, _), text in zip(hunk.lines, plain, strict=True)))
    places = _places(meant.old, lines, floor, step)
    return Corrected(hunk=meant, places=places, kind=ESCAPES) if places else None


def _without_backslashes(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> Corrected | None:
    """Remove one level of escapes of JSON, or those of Markdown, if nothing in the hunk is without them."""
    texts = [line.text for line in hunk.lines]
    whole = "\n".join(texts)
    for escape, raw in _BACKSLASHES:
        if not any(map(escape.search, hunk.old)) or raw.search(escape.sub("", whole)):
            continue
        plain = [escape.sub(_character, text) for text in texts]
        meant = replace(hunk, lines=tuple(Line(mark, text) for (mark, _), text in zip(hunk.lines, plain, strict=True)))
        places = _places(meant.old, lines, floor, step)
        if places:
            return Corrected(hunk=meant, places=places, kind=ESCAPES)
    return None


def _character(found: re.Match[str]) -> str:
    """Return what an escape stands for; two with `\\u` may be one character."""
    text = found[0]
    if not text.startswith("\\u"):
        return text[1]
    units = b"".join(int(code, 16).to_bytes(2, "big") for code in text.split("\\u")[1:])
    return units.decode("utf-16-be", "replace")


def _without_blank_ends(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> Corrected | None:
    """Remove empty kept lines at both ends: models put them between the marks of a block and its text."""
    kept = [n for n, line in enumerate(hunk.lines) if line.mark != KEEP or line.text.strip()]
    if not kept or len(kept) == len(hunk.lines):
        return None
    meant = replace(hunk, lines=hunk.lines[kept[0] : kept[-1] + 1])
    places = _places(meant.old, lines, floor, step) if meant.old and len(meant.lines) < len(hunk.lines) else []
    return Corrected(hunk=meant, places=places, kind=TRAILING) if places else None


def _unescaped(text: str) -> str:
    return _ENTITY.sub(
        lambda found: chr(int(found[0][2:], 16)) if found[0][0] == "\\" else html.unescape(found[0]), text
    )


def _as_tabs(found: re.Match[str]) -> str:
    return "\t" * (len(found[0]) // 2)


def _places(old: Sequence[str], lines: WorkingLines, floor: int, step: Step) -> list[int]:
    for level in (EXACT, TRAILING):
        places = find_runs(lines.texts(level), normalised(old, level), floor, step)
        if places:
            return places
    return []


def pieces_of(hunk: Hunk) -> list[tuple[Line, ...]]:
    """Return the parts of a hunk between the lines that stand for others; all of it if there are none or too many."""
    pieces: list[list[Line]] = [[]]
    for line in hunk.lines:
        if line.mark == KEEP and stands_for_lines(line.text):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return [tuple(piece) for piece in pieces if piece] if len(pieces) <= _MAX_PIECES else [hunk.lines]


def _filled_in(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> Corrected | None:
    """Put the file's own lines where the hunk has `...`, if each part that changes something has only one place."""
    pieces = pieces_of(hunk)
    if sum(map(len, pieces)) == len(hunk.lines):
        return None
    texts = lines.texts()
    meant: list[Line] = []
    first, end, least = -1, floor, 0
    for piece in pieces:
        old = [line.text for line in piece if line.mark != ADD]
        places = _places(old, lines, end, step) if old else []
        if not places or places[-1] < least:
            return None
        least = max(least, places[0] + len(old))
        if all(line.mark == KEEP for line in piece):
            if len(places) == 1 and first < 0:
                end = places[0] + len(old)
            continue
        if len(places) > 1 or places[0] + len(old) < least:
            return None
        if first < 0:
            first = places[0]
        else:
            meant += [Line(KEEP, text) for text in texts[end : places[0]]]
        meant += piece
        end = places[0] + len(old)
    if first < 0:
        return None
    return Corrected(hunk=replace(hunk, lines=tuple(meant)), places=[first], kind=LEFT_OUT)
