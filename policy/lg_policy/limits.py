"""Bounds on text, bytes and time."""

from __future__ import annotations

import string
import time
from collections import deque
from typing import Any

from lg_policy.errors import CallTimeout

INLINE_CHARACTERS = 100_000
"""Up to this many characters of text, keys and numbers, work is done on the event loop."""
EACH = 8
"""Characters that every part of a value counts besides its text."""
ELLIPSIS = "…"
_ATOMS = frozenset({int, float, bool, type(None)})
_TEXTS, _GROUPS = (str, bytes), (dict, list, tuple)
# What no secret of a known shape contains (see `secrets.finder`) ends a word: quotation marks, brackets, spaces.
_IN_WORDS = "".join(set(string.printable) - set(string.whitespace) - set("\"'`()[]{}<>;|&\\"))


def cut_text(text: str, max_bytes: int) -> tuple[str, bool]:
    """Return `text` cut to at most `max_bytes` of UTF-8, never inside a character, and whether anything was cut."""
    if len(text) * 4 <= max_bytes:
        return text, False
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= max_bytes:
        return text, False
    return data[:max_bytes].decode("utf-8", "ignore"), True


def cut_at_word(text: str, limit: int) -> str:
    """Return the beginning of `text`, at most `limit` characters and no half word at its end, with `…` if it was cut.

    A text that is masked later must be cut like this: nobody knows the beginning of a secret for one.
    """
    return text if len(text) <= limit else whole_words(text[:limit]) + ELLIPSIS


def whole_words(text: str) -> str:
    """Return a text that was cut somewhere without the word in which it ends."""
    return text.rstrip(_IN_WORDS)


class HeadTail:
    """Keep the first and the last bytes of a stream of any length in constant memory.

    Half of `max_bytes` is kept of each end; `dropped` counts the bytes between them.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 2:
            raise ValueError("max_bytes must be at least 2")
        self._head_room = max_bytes // 2
        self._tail_room = max_bytes - self._head_room
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._tail_room:
            self._tail_size -= len(self._tail.popleft())

    @property
    def dropped(self) -> int:
        """Return the number of bytes in the middle that were dropped."""
        return max(0, self.total - self._head_room - self._tail_room)

    def bytes_kept(self) -> tuple[bytes, bytes]:
        """Return the kept head and tail."""
        tail = b"".join(self._tail)
        return bytes(self._head), tail[-self._tail_room :] if tail else b""

    def text(self) -> str:
        """Return head and tail as text, invalid UTF-8 replaced; a line between them counts what was dropped."""
        head, tail = self.bytes_kept()
        if not self.dropped:
            return (head + tail).decode("utf-8", "replace")
        note = f"\n[... {self.dropped} bytes dropped ...]\n"
        # A character may be split at either cut: those fragments are dropped rather than shown as junk.
        return head.decode("utf-8", "ignore") + note + tail.decode("utf-8", "ignore")


class Deadline:
    """A point in time, `seconds` from now on the monotonic clock; `None` means never."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Return the seconds left, not below 0; `None` if there is no deadline."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Return whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end

    def check(self, what: str = "the call") -> None:
        """Raise `CallTimeout` when the time is over."""
        if self.passed():
            raise CallTimeout(
                f"{what} took longer than {self.seconds:g} s", hint="narrow the request or raise the time limit"
            )


def is_small(value: Any, limit: int = INLINE_CHARACTERS) -> bool:
    """Whether a JSON value, or an object of such values, holds at most `limit` characters. Reads no more than that."""
    waiting = [value]
    while waiting and limit >= 0:
        item = waiting.pop()
        limit -= EACH
        if isinstance(item, _TEXTS):
            limit -= len(item)
            continue
        inner = item if isinstance(item, _GROUPS) else getattr(item, "__dict__", None)
        if inner is None:
            continue
        if len(inner) * EACH > limit:
            return False
        for part in (*inner, *inner.values()) if isinstance(inner, dict) else inner:
            kind = type(part)
            if kind is str:
                limit -= EACH + len(part)
            elif kind in _ATOMS:
                limit -= EACH
            else:
                waiting.append(part)
    return limit >= 0
