"""Text that comes from a repository, made safe to print on a terminal."""

from __future__ import annotations

import re
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


def code_span(text: str, limit: int = 200) -> str:
    """A name or command as a Markdown code span that it cannot leave, on one line."""
    line = one_line(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line or '(empty)'}{pad}{fence}"


def quoted(text: str) -> str:
    """Foreign text as a Markdown quotation: nothing in it can pass for a part of our own report."""
    return "\n".join(f"> {line}".rstrip() for line in visible(text).splitlines())


def stopped_text(text: str) -> str:
    """`text` with a full stop; one that ends in `...` or another stop keeps its end."""
    return text if text.endswith((".", "!", "?", "…")) or not text else f"{text}."


def sentence(text: str) -> str:
    """The same with a capital first letter."""
    return stopped_text(f"{text[:1].upper()}{text[1:]}")
