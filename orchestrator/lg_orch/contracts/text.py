"""Text that comes from a repository, made safe to print on a terminal."""

from __future__ import annotations

import unicodedata

_KEPT = frozenset("\n\t")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co"})


def visible(text: str) -> str:
    """Return `text` with control, bidirectional and invisible characters written as `\\u{…}`; lines and tabs stay."""
    if text.isascii() and (text.isprintable() or all(c in _KEPT or c.isprintable() for c in text)):
        return text
    return "".join(f"\\u{{{ord(c):x}}}" if c not in _KEPT and unicodedata.category(c) in _HIDDEN else c for c in text)


def one_line(text: str, width: int) -> str:
    """Return the first `width` characters of `text` on one line, safe to print."""
    flat = visible(" ".join(text.split()))
    return flat if len(flat) <= width else flat[: max(0, width - 1)] + "…"


def many(count: int, noun: str) -> str:
    """A number with its noun: `1 call`, `2 calls`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
