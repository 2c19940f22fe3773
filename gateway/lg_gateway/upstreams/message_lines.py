"""Cuts what a server writes to standard output into messages, one a line, and mends servers that do it otherwise.

A message may be spread over several lines (pretty-printed: the first holds only brackets), written in UTF-16, or end
without a line break where the server ends. Pure, and linear in what is written.
"""

from __future__ import annotations

import re

HELD_LINES = 100_000
"""Lines of one message. If more come, they were no message."""

_OPENS = re.compile(rb"[\[\s]*(\{[{\[\s]*)")
"""The first line of a message over several lines. Of a list of messages each is read by itself."""
_MARKS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]]', re.DOTALL)
_DEEPER = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


class TooLong(Exception):
    """A message has more bytes than may be."""


class MessageLines:
    """The messages of one stream. `limit` is in bytes, of one message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._part = bytearray()
        self._held: list[bytes] = []
        self._size = 0
        self._depth = 0

    @property
    def between(self) -> bool:
        """Whether nothing of a message is kept that has only begun."""
        return not self._part and not self._held

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole with these bytes; what is no message too, as it came. Raises `TooLong`."""
        if b"\n" not in data:
            self._part += data
            if len(self._part) + self._size > self._limit:
                raise TooLong
            return []
        first, *others, rest = data.split(b"\n")
        if self._part:  # copied once: it may be many megabytes
            self._part += first
            first = bytes(self._part)
        self._part = bytearray(rest)
        found: list[bytes] = []
        for line in (first, *others):
            found += self._line(line)
        return found

    def end(self) -> list[bytes]:
        """Return what the stream ended with."""
        rest, self._part = bytes(self._part), bytearray()
        return [*(self._line(rest) if rest.strip() else []), *self._let_go()]

    def _line(self, line: bytes) -> list[bytes]:
        if b"\0" in line:
            line = _from_utf16(line)
        plain = line.strip()
        if not self._held:
            opens = None if plain.endswith(b"}") else _OPENS.fullmatch(line)
            if opens is None:
                return [line]
            self._hold(opens[1], _depth(opens[1]))
            return []
        if plain.startswith(b"{") and plain.endswith(b"}") and b'"jsonrpc"' in plain:
            return [*self._let_go(), line]  # a message of its own: what was held was none
        self._hold(line, _depth(line))
        if self._depth <= 0:
            message, self._held, self._size, self._depth = b"\n".join(self._held), [], 0, 0
            return [message]
        if self._size > self._limit:
            raise TooLong
        return self._let_go() if len(self._held) > HELD_LINES else []

    def _hold(self, line: bytes, depth: int) -> None:
        self._held.append(line)
        self._size += len(line)
        self._depth += depth

    def _let_go(self) -> list[bytes]:
        """Return the held lines as one text that is no message, or none if nothing is held."""
        held, self._held, self._size, self._depth = self._held, [], 0, 0
        return [b"\n".join(held)] if held else []


def _depth(line: bytes) -> int:
    """Return how many more brackets are opened than closed, outside of texts."""
    return sum(_DEEPER.get(mark.group(), 0) for mark in _MARKS.finditer(line))


def _from_utf16(line: bytes) -> bytes:
    """Return a line of UTF-16 as UTF-8; other lines as they are.

    The line was cut at the byte of a line break, so half a character may stand at either end.
    """
    for start, encoding in ((line, "utf-16-le"), (line[1:], "utf-16-le"), (line, "utf-16-be"), (line[1:], "utf-16-be")):
        text = start.removeprefix(b"\xff\xfe" if encoding.endswith("le") else b"\xfe\xff")
        narrow, wide = (text[0:20:2], text[1:20:2]) if encoding.endswith("le") else (text[1:20:2], text[0:20:2])
        if narrow[:1] in (b"{", b"[", b" ") and not wide.strip(b"\0"):
            return text[: len(text) // 2 * 2].decode(encoding, "replace").encode("utf-8", "replace")
    return line
