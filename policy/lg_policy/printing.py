r"""Foreign text made safe to print. Pure, and linear in the text.

A file, a server, a client or a model can send text that redraws a terminal, hides a word or imitates our own output.
Every program prints such text through this module:

- `visible` keeps a text on one line and writes each character that does not show as itself as `\u{…}`;
- `quote` puts a short text, such as a name, between quotation marks;
- `one_line` shortens a text to the width of a line;
- `wrap_foreign` lays out a long text behind a margin, `hanging` a line of ours whose words may be foreign;
- `exit_text` words the error that ends a program.

Not covered: letters that look like other letters; letters written from right to left, which some terminals reorder
within a row; a window that is made narrower after the text was printed.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache, partial

from lg_policy.errors import LgError

MIN_WIDTH = 20
"""A narrower terminal is treated as this many columns wide."""
TAB = "    "
"""What a tab becomes where text is laid out."""
MAX_MARKS = 4
"""Marks above or below one letter that are shown; more would be drawn over the rows next to it."""
ELLIPSIS = "…"
_CACHED = 4096
_WIDEST = 2  # columns of one character

# Assigned characters that fonts draw as nothing: fillers, blanks, variation selectors and tags.
_BLANK = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800),
    (0x303F, 0x303F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0x16FE4, 0x16FE4), (0x1D159, 0x1D159),
    (0xE0000, 0xE0FFF),
)  # fmt: skip
_BLANKS = frozenset(code for first, last in _BLANK for code in range(first, last + 1))
# Tai Xuan Jing symbols and counting rods: two columns wide since Unicode 16.
_LATELY_WIDE = range(0x1D300, 0x1D400)
_NOT_PLAIN = re.compile(r"[^ -~]+")
_LONGEST_ESCAPE = len(r"\u{10ffff}")
_WORD = re.compile(" *([^ ]+)")
_HANG = "    "
_TOKEN = re.compile(r"\\u\{[0-9a-f]{1,6}\}|\\.|.", re.DOTALL)


def visible(text: str, *, keep: str = "") -> str:
    r"""Return `text` with every character that does not show as itself written as `\u{…}`.

    These are control, bidirectional, invisible, private and unassigned characters, every space but the plain one, and
    marks that have no letter to stand on. `keep` names exceptions: `"\n"` and `"\t"` where lines and tabs may stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _NOT_PLAIN.sub(partial(_spelled, keep), text)


def _spelled(keep: str, found: re.Match[str]) -> str:
    """Spell out a run of characters that are not plain ASCII."""
    before = found.string[: found.start()][-1:] if found.start() < 2 else found.string[found.start() - 1]
    has_base, marks = before not in ("", " "), 0
    parts: list[str] = []
    for character in found.group():
        shows = _shows(character)
        if _is_mark(character):
            shows = shows and has_base and marks < MAX_MARKS
            marks += 1
        else:
            has_base, marks = shows, 0
        parts.append(character if shows or character in keep else f"\\u{{{ord(character):x}}}")
    return "".join(parts)


@lru_cache(maxsize=_CACHED)
def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ" and ord(character) not in _BLANKS


def display_width(text: str) -> int:
    """Return how many columns a terminal needs at most for `text`, which must be `visible`.

    Terminals differ: each mark counts as one column, each symbol and each character of unclear width as two.
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


@lru_cache(maxsize=_CACHED)
def _columns(character: str) -> int:
    if character < "\x80":
        return 1
    if unicodedata.east_asian_width(character) in "WFA" or ord(character) in _LATELY_WIDE:
        return 2
    return 2 if unicodedata.category(character) in ("So", "Sm") else 1


def wrap_foreign(text: str, *, width: int = 80, margin: str = "| ") -> list[str]:
    r"""Return foreign text as rows of at most `width` columns, each of which begins with a margin of ours.

    `"a\nb"` gives `| a` and `| b`. A line that is too long goes on in rows whose margin ends in `>`, so that a reader
    can tell a wrapped line from a new one. Only line feeds end a line; other line ends are shown as `\u{…}`.

    Raises `ValueError` for a margin that does not end in a space.
    """
    if not margin.endswith(" "):
        raise ValueError("a margin must end in a space")
    room = max(max(width, MIN_WIDTH) - display_width(margin), MIN_WIDTH // 2)
    continued = f"{margin[:-1]}>"
    rows: list[str] = []
    for line in text.split("\n"):
        shown = visible(line.removesuffix("\r").replace("\t", TAB))
        rows += [f"{continued if number else margin}{part}" for number, part in enumerate(_parts(shown, room))]
    return rows


def hanging(line: str, width: int) -> list[str]:
    """Return a visible line of ours as rows of at most `width` columns: all rows but the first are indented.

    It may hold foreign words. None of them begins a row, however the line is divided.
    """
    line = line.replace("\t", TAB)
    return [f"{before}{line[begin:end]}" for before, begin, end in divided(line, width)]


def divided(line: str, width: int) -> list[tuple[str, int, int]]:
    """Return where a visible line without tabs is divided for `hanging`: what stands before each part, and the part.

    It is divided between words where that is possible. A row that goes on within a word has a `>` before it, as
    `wrap_foreign` has.
    """
    width = max(width, MIN_WIDTH)
    if display_width(line) <= width:
        return [("", 0, len(line))]
    margin = line[: min(len(line) - len(line.lstrip(" ")), width // 3)]
    rows: list[tuple[str, int, int]] = []
    before, begin, end, used = "", 0, 0, 0
    for found in _WORD.finditer(line):
        columns = display_width(found.group())
        if used + columns <= width:
            used, end = used + columns, found.end()
            continue
        rows += [(before, begin, end)] if end else []
        before = f"{margin}{_HANG}" if end else margin
        begin = found.start(1)
        first, *more = _parts(found.group(1), width - len(margin) - len(_HANG))
        end = begin + len(first)
        used = len(before) + display_width(first)
        for part in more:
            rows.append((before, begin, end))
            before = f"{margin}{_HANG[:-1]}>"
            begin, end = end, end + len(part)
            used = len(before) + display_width(part)
    return [*rows, (before, begin, end)]


def quote(text: str, *, limit: int = 80) -> str:
    r"""Return a short foreign text, such as a name or an id, in quotation marks and on one line.

    Quotation marks and backslashes in it are escaped. Text beyond `limit` columns is cut: `"abc"… (200 characters)`.
    """
    escaped = text[: limit + 1].replace("\\", "\\\\").replace('"', '\\"')
    shown = visible(escaped)
    kept = next(_parts(shown, limit))
    if len(kept) == len(shown) and len(text) <= limit:
        return f'"{shown}"'
    return f'"{kept}"{ELLIPSIS} ({len(text)} characters)'


def one_line(text: str, width: int) -> str:
    """Return the beginning of `text` on one line of at most `width` columns; white space becomes single spaces."""
    shown = visible(" ".join(text.split()))
    if display_width(shown) <= width:
        return shown
    room = width - display_width(ELLIPSIS)
    return next(_parts(shown, room)) + ELLIPSIS if room >= _WIDEST else ""


def exit_text(error: BaseException) -> str:
    """Return an error as the line with which a program ends: `invalid_config: no such root (pass another)`.

    Its details follow the message, each on a line of its own.
    """
    if isinstance(error, LgError) and error.details:
        listed = "".join(f"\n    {visible(detail)}" for detail in error.details)
        return (
            visible(f"{error.code}: {error.message}:") + listed + (f"\n  {visible(error.hint)}" if error.hint else "")
        )
    text = error.text() if isinstance(error, LgError) else f"{type(error).__name__}: {error}".removesuffix(": ")
    return visible(text)


def system_error_text(error: OSError) -> str:
    """Return what the system refused, as the line with which a program ends: `/x/y: No space left on device`."""
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    return visible(f"{place}{error.strerror or error}")


def _parts(shown: str, room: int) -> Iterator[str]:
    """Break visible text into parts of at most `room` columns, at least one part.

    Escapes stay whole where the room allows it, and a letter keeps its marks.
    """
    if shown.isascii() and "\\" not in shown:
        yield shown[:room]
        yield from (shown[at : at + room] for at in range(room, len(shown), room))
        return
    start = base = at = used = used_before_base = 0
    for token in _TOKEN.findall(shown) if room >= _LONGEST_ESCAPE else shown:
        columns = display_width(token)
        if not _is_mark(token[0]):
            base, used_before_base = at, used
        if used and used + columns > room:
            cut = base if base > start else at
            yield shown[start:cut]
            used -= used_before_base if base > start else used
            start, used_before_base = cut, 0
        used += columns
        at += len(token)
    yield shown[start:]


def _is_mark(character: str) -> bool:
    return character >= "\u0300" and unicodedata.category(character) in ("Mn", "Me")
