r"""Where the lines of private keys lie in a text. Pure, and linear in the text.

A key is a `-----BEGIN … PRIVATE KEY-----` label and the base64 lines after it. Only those lines are secret, each for
itself. Labels, headers, margins, quotation marks and everything else around them are not. A line that holds anything
but base64 ends the key: program text between two labels is never taken for one.

Lines may be indented, commented out, part of a diff or of a string in which a line end is written as `\n`.

Not covered: a key whose label was cut off; base64 that is broken into lines of unequal length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

LINE = range(40, 81)
"""How long the lines of a key in several lines are, in characters."""
ALONE = 16
"""A key in one line has at least this many characters between its labels."""
UNENDED = 48
"""A line without an end label counts as part of a key from this length on."""
SHORT_TAIL = 20
"""A shorter last line counts only if it looks like base64 and not like a word."""

_LABEL = rb"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_BEGIN = re.compile(rb"-----BEGIN " + _LABEL)
_RUN = rb"([A-Za-z0-9+/]{4,}={0,2})"
_MARGIN = re.compile(rb"[ \t|>]*(?:([+-])(?!-))?[ \t]*(//|#+|;+|--|)")
_HEADERS = 6
_BEFORE = 40


def key_lines(data: bytes) -> Iterator[tuple[int, int]]:
    """Return the beginning and the end of each line of each private key in UTF-8 text, in order."""
    for begin in _BEGIN.finditer(data):
        yield from _lines(data, begin.start(), begin.end())


def _lines(data: bytes, label: int, at: int) -> list[tuple[int, int]]:
    run, header, end = _grammar(_margin(data, label))
    for _ in range(_HEADERS):
        found = header.match(data, at)
        if found is None:
            break
        at = found.end()
    lines: list[tuple[int, int]] = []
    tail: tuple[int, int] | None = None
    while tail is None and (found := run.match(data, at)) is not None:
        place = found.span(1)
        at = found.end()
        if not lines or _length(place) == _length(lines[0]):
            lines.append(place)
        else:
            tail = place
    ended = end.match(data, at) is not None
    return _believed(data, lines, tail, ended=ended)


def _believed(
    data: bytes, lines: list[tuple[int, int]], tail: tuple[int, int] | None, *, ended: bool
) -> list[tuple[int, int]]:
    """Return the lines that belong to a key."""
    if not lines:
        return []
    length = _length(lines[0])
    if (len(lines) > 1 or tail is not None) and length not in LINE:
        return []
    if length < (ALONE if ended else UNENDED):
        return []
    closed = ended or (tail is not None and tail[1] == len(data))  # a text may have been cut within the key
    if tail is not None and closed and _length(tail) < length and _is_base64(data[tail[0] : tail[1]]):
        return [*lines, tail]
    return lines


def _is_base64(tail: bytes) -> bool:
    """Return whether a last line is not just a word."""
    if len(tail) >= SHORT_TAIL or tail.endswith(b"="):
        return True
    return not (tail.islower() or tail.isupper() or tail.isdigit()) or not tail.isalnum()


def _length(place: tuple[int, int]) -> int:
    return place[1] - place[0]


def _margin(data: bytes, label: int) -> tuple[bytes, bytes]:
    """Return the sign of a diff and the sign of a comment with which the line of a label begins."""
    start = max(data.rfind(b"\n", max(0, label - _BEFORE), label) + 1, label - _BEFORE, 0)
    found = _MARGIN.match(data, start, label)
    return (found[1] or b"", found[2]) if found is not None else (b"", b"")


@lru_cache(maxsize=64)
def _grammar(margin: tuple[bytes, bytes]) -> tuple[re.Pattern[bytes], re.Pattern[bytes], re.Pattern[bytes]]:
    """Return expressions for a line, a header and the end label, each with what may stand before it.

    The lines that follow a label may lack the sign of a diff, but not the sign of a comment: what stands outside the
    comment is program text. Nothing here is tried twice: the time is linear in the text.
    """
    diff, comment = (re.escape(sign) for sign in margin)
    sign = (rb"(?:" + diff + rb")?" if diff else b"") + rb"[ \t]{0,200}" + comment
    line_end = rb"\r?\n[ \t|>]{0,200}" + sign + rb"[ \t]{0,200}"
    between = rb"(?>" + line_end + rb"|\\{1,4}[rn]|[ ]\+(?=[ \r\n])|[^A-Za-z0-9+/=\\\r\n-]|\\(?=\r?\n)){1,24}+"
    header = between + rb"[A-Za-z][A-Za-z0-9-]{1,30}: [^\r\n\\]{0,100}"
    end = rb"(?:" + between + rb"=[A-Za-z0-9+/]{4})?(?:" + between + rb")?-----END " + _LABEL
    return re.compile(between + _RUN), re.compile(header), re.compile(end)
