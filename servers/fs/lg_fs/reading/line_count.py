"""Counts the lines of a file as `read_file` does, from its bytes."""

from __future__ import annotations

import codecs

from lg_fs.reading.encoding import Encoding


def count_lines(data: bytes) -> int:
    """Return the number of lines in a file of one byte a character, or UTF-8. A last one without a break counts."""
    newlines = data.count(b"\n")
    if newlines or b"\r" not in data:
        return newlines + (1 if data and data[-1] != 0x0A else 0)
    return data.count(b"\r") + (data[-1] != 0x0D)


class LineCount:
    """Counts the lines of a file that comes in parts. `encoding`: that of a file with wide characters."""

    def __init__(self, encoding: Encoding | None = None) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding.name)("replace") if encoding else None
        self._feeds = self._returns = 0
        self._last = b""

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._decoder is not None:
            chunk = self._decoder.decode(chunk).encode("utf-8", "replace")
        self._feeds += chunk.count(b"\n")
        if not self._feeds:
            self._returns += chunk.count(b"\r")
        self._last = chunk[-1:] or self._last

    def lines(self) -> int:
        """Return the number of lines so far. A last one without a break counts."""
        if self._feeds or not self._returns:
            return self._feeds + (self._last not in (b"", b"\n"))
        return self._returns + (self._last != b"\r")
