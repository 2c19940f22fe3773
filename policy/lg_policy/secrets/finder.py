"""Where secrets lie in a text. Linear in the text, whatever it holds.

A place found by shape never reaches over a line end, white space, a quotation mark, a bracket or another sign of
program text: a mask must not hide from a reader what a program does. Only what a user configured is a secret as it
stands, line by line.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lg_policy.secrets.private_keys import key_lines
from lg_policy.secrets.shapes import Shape

MARKER = re.compile(r"\[secret:[a-z0-9_]+:[0-9a-f]{8}\]")
GROUP_LENGTH = 16
"""A shorter group of an expression is not the secret but a part of it."""
MEMORY = 64 << 20
"""Bytes for the automaton of the pass over all shapes, which is made anew when it is full."""
_LINE_END = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_PROGRAM_TEXT = re.compile(r"""[\s\x00-\x1f\x7f-\x9f"'`()\[\]{}<>;|&\\\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]""")
_PLACEHOLDER = re.compile(r"%[sdrv]|%\w+%|\$\w+|\*+|[xX]+|\.{3,}|…")


@dataclass(frozen=True, order=True)
class Span:
    """Where one secret lies in a text, in characters, and what kind of secret it is."""

    start: int
    end: int
    kind: str


class Finder:
    """Finds the secrets of many shapes. Which shapes may occur is seen in one pass over the text."""

    def __init__(self, shapes: Sequence[Shape], *, private_keys: bool = False) -> None:
        self._shapes = shapes
        self._private_keys = private_keys
        self._set: Any = None

    def find(self, text: str, data: bytes) -> list[Span]:
        """Return the places of secrets in `text`, in no order. `data` is the text as `encoded`."""
        candidates = self.candidates(data)
        if not candidates and b"PRIVATE KEY" not in data:
            return []
        found = [
            (match.span(group), shape)
            for shape in (self._shapes[number] for number in candidates)
            for match in shape.compiled.finditer(data)
            if (group := _group(match, shape)) is not None
        ]
        keys = key_lines(data) if self._private_keys and b"PRIVATE KEY" in data else ()
        found += [(place, _KEY) for place in keys]
        found.sort(key=lambda item: item[0])
        places = _characters(text, data, [place for place, _ in found])
        spans = (_spans(text, *place, shape) for place, (_, shape) in zip(places, found, strict=True))
        return [span for several in spans for span in several]

    def candidates(self, data: bytes) -> Sequence[int]:
        """Return the numbers of the shapes that occur: all that do, and maybe some that do not."""
        if not self._shapes:
            return ()
        if self._set is None:
            self._set = self._compiled()
        return sorted(self._set.Match(data) or ())

    def _compiled(self) -> Any:
        import re2

        options = re2.Options()
        options.log_errors = False
        options.max_mem = MEMORY
        made = re2.Set.SearchSet(options)
        for shape in self._shapes:
            made.Add(shape.expression.encode())
        made.Compile()
        return made


_KEY = Shape("private_key", "")


def encoded(text: str) -> bytes:
    """Return the text as UTF-8 of as many characters; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def settled(text: str, spans: Iterable[Span]) -> list[Span]:
    """Return spans in order and without overlap: those that overlap become one, those that meet a mask are left out."""
    masks = [match.span() for match in MARKER.finditer(text)] if "[secret:" in text else []
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        after = bisect.bisect_left(masks, (span.end, 0))
        if after and masks[after - 1][1] > span.start:
            continue
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif span.end > kept[-1].end:
            kept[-1] = Span(kept[-1].start, span.end, kept[-1].kind)
    return kept


def _group(match: Any, shape: Shape) -> int | None:
    """Return which group of a match is the secret; `None` if the match is none."""
    if shape.names_secret:
        return 1
    group = match.lastindex or 0
    start, end = match.span(group)
    if shape.exact is not None and end - start != shape.exact:
        return None
    return group if end - start >= GROUP_LENGTH else 0


def _characters(text: str, data: bytes, places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Turn sorted places in bytes into places in characters, in one pass."""
    if len(text) == len(data):
        yield from places
        return
    byte = character = 0
    for start, end in places:
        character += _length(data, byte, start)
        byte = start
        yield character, character + _length(data, start, end)


def _length(data: bytes, start: int, end: int) -> int:
    return len(data[start:end].decode("utf-8", "ignore"))


def _spans(text: str, start: int, end: int, shape: Shape) -> Iterator[Span]:
    """Return the parts of a place that may be masked."""
    if shape.own_words:
        yield from _by_line(text, start, end, shape.kind)
        return
    secret = text[start:end]
    code = _PROGRAM_TEXT.search(secret)
    if code is not None:
        secret = secret[: code.start()]
        if len(secret) < GROUP_LENGTH:
            return
    password = secret.partition(":")[2] if shape.kind == "url_password" else ""
    if password and _PLACEHOLDER.fullmatch(password):
        return
    yield Span(start, start + len(secret), shape.kind)


def _by_line(text: str, start: int, end: int, kind: str) -> Iterator[Span]:
    at = start
    for found in _LINE_END.finditer(text, start, end):
        if found.start() > at:
            yield Span(at, found.start(), kind)
        at = found.end()
    if end > at:
        yield Span(at, end, kind)
