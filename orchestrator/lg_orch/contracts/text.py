"""Makes text from a repository, a server or a model safe to print and to quote in a report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_policy import printing
from lg_policy.printing import one_line

if TYPE_CHECKING:
    from lg_policy.errors import LgError

__all__ = [
    "code_span", "in_line", "in_words", "many", "one_line", "quoted", "sentence", "stopped_text", "visible",
]  # fmt: skip


def visible(text: str) -> str:
    """Return `text` with what does not show as itself written as `\\u{…}`; lines and tabs stay."""
    return printing.visible(text, keep="\n\t")


def in_line(text: object) -> str:
    """Return a name or a path as it can stand in a line of ours: line ends and tabs are written out too."""
    return printing.visible(str(text))


def in_words(error: LgError) -> str:
    """Return a refusal as a person at a terminal reads it: what happened and what to do, without its code."""
    listed = "".join(f"\n    {visible(detail)}" for detail in error.details)
    hint = f"\n  {visible(error.hint)}" if error.hint else ""
    return f"{visible(error.message)}{':' if listed else ''}{listed}{hint}"


def many(count: int, noun: str) -> str:
    """Return a number with its noun: `1 call`, `2 calls`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def code_span(text: str, limit: int = 200) -> str:
    """Return a name or command as a Markdown code span that it cannot leave, on one line."""
    line = one_line(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line or '(empty)'}{pad}{fence}"


def quoted(text: str) -> str:
    """Return foreign text as a Markdown quotation: nothing in it can pass for a part of our own report."""
    return "\n".join(f"> {line}".rstrip() for line in visible(text).splitlines())


def stopped_text(text: str) -> str:
    """Return `text` with a full stop; one that ends in `...` or another stop keeps its end."""
    return text if text.endswith((".", "!", "?", "…")) or not text else f"{text}."


def sentence(text: str) -> str:
    """Return the same with a capital first letter."""
    return stopped_text(f"{text[:1].upper()}{text[1:]}")
