"""Compares the lines of a hunk with those of a file at several levels, from exact to lenient."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from lg_fs.patch.document import TextLine

EXACT, TRAILING, LEADING, UNICODE = "exact", "trailing_whitespace", "leading_whitespace", "unicode_form"

SPACES = dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_NOTHING = dict.fromkeys([0x200B, 0x2060, 0xFEFF], "")
_SINGLE = dict.fromkeys([0x2018, 0x2019, 0x201A, 0x201B, 0x2032], "'")
_DOUBLE = dict.fromkeys([0x201C, 0x201D, 0x201E, 0x201F, 0x2033], '"')
_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
CLASSES = (SPACES, _NOTHING, _SINGLE, _DOUBLE, _DASHES, {0x2026: "..."})
"""Typographic forms by kind, each with what is plain: editors and models exchange these."""
_PLAIN = {code: plain for forms in CLASSES for code, plain in forms.items()}
_BLANKS = re.compile(r"[ \t]+")


def plain_form(text: str) -> str:
    """Return a line in normal form: with plain quotes, dashes and spaces, and one blank for all between two words."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_PLAIN)
    text = text.rstrip()
    if "  " not in text and "\t" not in text:
        return text
    words = text.lstrip(" \t")
    return text[: len(text) - len(words)] + _BLANKS.sub(" ", words)


LEVELS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (EXACT, str),
    (TRAILING, str.rstrip),
    (LEADING, str.strip),
    (UNICODE, plain_form),
)
ORDER = [name for name, _ in LEVELS]
NUMBERS, ESCAPES, LEFT_OUT = "line_numbers", "escapes", "left_out_lines"
MATCHES = [*ORDER, NUMBERS, ESCAPES, LEFT_OUT]
"""How a hunk may have been found, the weakest last; the last three by a correction (`corrections`)."""
_NORMAL = dict(LEVELS)


def normalised(texts: Sequence[str], level: str) -> list[str]:
    """Return the lines in the form in which this level compares them."""
    return list(texts) if level == EXACT else list(map(_NORMAL[level], texts))


class WorkingLines:
    """The lines of a file while hunks are applied. Their forms for each level are computed when first needed."""

    def __init__(self, lines: Sequence[TextLine]) -> None:
        self.lines = list(lines)
        self._forms: dict[str, list[str]] = {}

    def texts(self, level: str = EXACT) -> list[str]:
        """Return the texts of all lines as this level compares them."""
        if level not in self._forms:
            self._forms[level] = normalised([line.text for line in self.lines], level)
        return self._forms[level]

    def replace(self, at: int, count: int, new: Sequence[TextLine]) -> None:
        """Replace some of the lines."""
        self.lines[at : at + count] = new
        for level, texts in self._forms.items():
            texts[at : at + count] = normalised([line.text for line in new], level)
