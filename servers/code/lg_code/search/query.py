"""Understands a query: its words, and the names in it that may be whole identifiers. Nothing in it is FTS5 syntax."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lg_code.search.words import stem, words

LONGEST_QUERY = 4_000
"""Characters of a query that are read: room for a bug report."""
MOST_WORDS = 64
"""Different words of a query that are looked up."""
MOST_NAMES = 16
_TOKEN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*|[0-9]+|[^\x00-\x7f]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYMBOL = re.compile(r"[A-Za-z_$][\w$]*(?:(?:::|\\|->|\.|#|/)[A-Za-z_$][\w$]*){0,8}[?!]?(?:\(\))?", re.ASCII)
_LIKE_A_NAME = re.compile(r"[a-z0-9][A-Z]|[A-Z][a-z0-9]+[A-Z]|_", re.ASCII)
_IN_BACKTICKS = re.compile(r"`([A-Za-z_$][^`\n]{0,100})`")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about all an and any are as at be by can code do does file find for from function has have how i if in into "
        "is it its me method my not of on or our should show that the their there these they this those to us use used "
        "using was we what when where which while who why will with without you your class implemented implementation",
    )
)
_ABOUT_TESTS = frozenset(stem(word) for word in ("test", "tests", "testing", "spec", "fixture", "mock"))
_ABOUT_DOCS = frozenset(stem(word) for word in ("doc", "docs", "documentation", "readme", "changelog", "example"))


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is searched for."""

    words: tuple[str, ...]
    names: tuple[str, ...]
    """Identifiers as they are written; the query asks for their definitions."""
    is_name: bool
    """Whether the query is one name and nothing else."""
    about_tests: bool
    about_docs: bool


def understand(text: str) -> Query:
    """Return what a query asks for. Any text is a query; one without letters has no words and finds nothing."""
    text = text[:LONGEST_QUERY].encode("utf-8", "replace").decode().strip()  # half of a pair is no text
    is_name = _SYMBOL.fullmatch(text) is not None
    tokens = _TOKEN.findall(text)
    telling = [token for token in tokens if token.lower() not in _COMMON]
    found = tuple(dict.fromkeys(word for token in telling or tokens for word in words(token.strip("$"))))[:MOST_WORDS]
    return Query(
        words=found,
        names=_names(text, is_name=is_name),
        is_name=is_name,
        about_tests=not _ABOUT_TESTS.isdisjoint(found),
        about_docs=not _ABOUT_DOCS.isdisjoint(found),
    )


def _names(text: str, *, is_name: bool) -> tuple[str, ...]:
    """Return the names that the query may want defined: the last part of a qualified name stands for it."""
    if is_name:
        return tuple(_NAME.findall(text)[-1:])
    quoted = [name for part in _IN_BACKTICKS.findall(text) for name in _NAME.findall(part)[-1:]]
    plain = [name for name in _NAME.findall(text) if _LIKE_A_NAME.search(name)]
    return tuple(dict.fromkeys([*quoted, *plain]))[:MOST_NAMES]
