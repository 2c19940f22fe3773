"""Finds tools by words, with BM25 over names, titles, descriptions and parameters. Pure.

Words must match exactly, without synonyms or stemming. A word in a tool's name counts more than one in its description.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lg_gateway.catalog.catalog import CatalogEntry

K1, B = 1.2, 0.75
NAME_WEIGHT, TITLE_WEIGHT, PARAMETER_WEIGHT = 4, 2, 1
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\W_a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class _Document:
    entry: CatalogEntry
    words: Counter[str]
    length: int


class Index:
    """A search index, built once for a list of tools."""

    def __init__(self, entries: Sequence[CatalogEntry]) -> None:
        self._documents = [_document(entry) for entry in entries]
        self._frequency: Counter[str] = Counter(word for document in self._documents for word in document.words)
        total = sum(document.length for document in self._documents)
        self._average = total / len(self._documents) if self._documents else 1.0

    def find(self, query: str) -> list[CatalogEntry]:
        """Return the tools that share a word with the query, best first; all of them, in order, for an empty query."""
        words = set(_words(query))
        if not words:
            return [document.entry for document in self._documents]
        scored = [(self._score(document, words), document.entry) for document in self._documents]
        hits = [(score, entry) for score, entry in scored if score > 0]
        return [entry for score, entry in sorted(hits, key=lambda hit: (-hit[0], hit[1].name))]

    def _score(self, document: _Document, words: set[str]) -> float:
        score = 0.0
        for word in words & document.words.keys():
            count, holding = document.words[word], self._frequency[word]
            rarity = math.log(1 + (len(self._documents) - holding + 0.5) / (holding + 0.5))
            damping = count + K1 * (1 - B + B * document.length / self._average)
            score += rarity * count * (K1 + 1) / damping
        return score


def _document(entry: CatalogEntry) -> _Document:
    tool = entry.listed
    words: Counter[str] = Counter()
    for text, weight in (
        (entry.name, NAME_WEIGHT),
        (tool.title or "", TITLE_WEIGHT),
        (tool.description or "", 1),
        (_parameters(tool.input_schema), PARAMETER_WEIGHT),
    ):
        for word in _words(text):
            words[word] += weight
    return _Document(entry, words, sum(words.values()))


def _parameters(schema: dict[str, Any]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return ""
    texts = [value.get("description", "") for value in properties.values() if isinstance(value, dict)]
    return " ".join([*properties, *(text for text in texts if isinstance(text, str))])


def _words(text: str) -> list[str]:
    return _WORD.findall(_CAMEL.sub(" ", text).casefold())
