"""Cuts identifiers and prose into the words that are searched: by case, underscore and digits, and without endings."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import chain

LONGEST = 64
"""Characters of one identifier that are looked at. A longer one is data, not a name."""
MOST_WORDS = 12
"""Words taken from one identifier."""
CACHED = 60_000
"""Identifiers whose words a process remembers."""
_COUNTED = 150_000
"""Identifiers whose words a counter remembers."""
_MOST_DIGITS = 4
_LONGEST_WORD = 32
_SHORTEST = 2
_SHORTEST_STEM = 4
_IDEOGRAPHS = "\u2e80"
"""From here on, scripts write without spaces: pairs of characters stand for words."""
_DIGITS = "0123456789"
_SPACED = bytes(byte if chr(byte).isalnum() or byte == 0x5F or byte >= 0x80 else 0x20 for byte in range(256))
_PARTS = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+|[^\x00-\x7f]+")
_NO_PLURAL = ("ss", "us", "is")
_ENDINGS = (
    *("ations", "ation", "ators", "ator", "ating", "ated", "encies", "ancies", "ency", "ancy", "ence", "ance"),
    *("ents", "ent", "ant", "ments", "ment", "ness", "able", "ible", "ings", "ing", "ions", "ion", "ers", "er"),
    *("ors", "or", "ed", "ive", "ally", "ly", "al"),
)


def identifiers(text: bytes) -> list[bytes]:
    """Return every run of letters, digits, underscores and bytes beyond ASCII, in order."""
    return text.translate(_SPACED).split()


class _WordsOf(dict[bytes, tuple[str, ...]]):
    """The words of each identifier: looked up, and split the first time."""

    def __missing__(self, identifier: bytes) -> tuple[str, ...]:
        if identifier.isalpha() and identifier.islower() and _SHORTEST <= len(identifier) <= _LONGEST_WORD:
            found: tuple[str, ...] = (stem(identifier.decode()),)
        else:
            found = _split(identifier[: 4 * LONGEST].decode("utf-8", "replace"))
        if len(self) < _COUNTED:
            self[identifier] = found
        return found


class WordCounter:
    """Counts words. It remembers the words of each identifier, which is what takes the time."""

    def __init__(self) -> None:
        self._known = _WordsOf()

    def count(self, text: bytes) -> dict[str, int]:
        """Return how often each word stands in a text."""
        if len(self._known) >= _COUNTED:
            self._known.clear()
        return Counter(chain.from_iterable(map(self._known.__getitem__, identifiers(text))))


@lru_cache(maxsize=CACHED)
def words(identifier: str) -> tuple[str, ...]:
    """Return the words of an identifier, each once: `HTTPExceptions` gives `http` and `except`."""
    return _split(identifier)


def _split(identifier: str) -> tuple[str, ...]:
    parts = _PARTS.findall(identifier[:LONGEST])
    if len(parts) == 1:
        return _of_part(parts[0])
    return tuple(dict.fromkeys(chain.from_iterable(map(_of_part, parts[:MOST_WORDS]))))


@lru_cache(maxsize=CACHED)
def _of_part(part: str) -> tuple[str, ...]:
    """Return the words of one part of an identifier: a word, and the same with its digits."""
    if part >= "\x80":
        return tuple(dict.fromkeys(_beyond_ascii(part.lower())))
    found: list[str] = []
    word = part.lower()[:_LONGEST_WORD]
    bare = word.rstrip(_DIGITS)
    if len(bare) >= _SHORTEST:
        found.append(stem(bare))
    if bare != word and len(word) >= _SHORTEST and (bare or len(word) <= _MOST_DIGITS):
        found.append(word)
    return tuple(dict.fromkeys(found))


def _beyond_ascii(part: str) -> list[str]:
    if len(part) > _SHORTEST and part[0] >= _IDEOGRAPHS:
        return [part[place : place + 2] for place in range(min(len(part) - 1, MOST_WORDS))]
    return [part]


@lru_cache(maxsize=CACHED)
def stem(word: str) -> str:
    """Return a lower-case word without its ending: `validator`, `validates` and `validation` give the same."""
    if len(word) >= _SHORTEST_STEM and word[-1] == "s" and not word.endswith(_NO_PLURAL):
        word = word[:-3] + "y" if word.endswith("ies") else word[:-1]
    if word.endswith(_ENDINGS):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
                word = word[: -len(ending)]
                break
    if len(word) > _SHORTEST_STEM and word[-1] in "ey":
        word = word[:-1]
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    if len(word) > _SHORTEST_STEM + 1 and word.endswith("at") and not word.endswith("mat"):
        word = word[:-2]
    return word


def path_words(path: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of a file's name without suffix, and those of the directory that it is in."""
    parts = path.rsplit("/", 2)
    name = parts[-1].rsplit(".", 1)[0] or parts[-1]
    directory = parts[-2] if len(parts) > 1 else ""
    return _text_words(name), _text_words(directory)


def _text_words(text: str) -> frozenset[str]:
    raw = text.encode("utf-8", "replace")[: 4 * LONGEST]
    return frozenset(word for name in identifiers(raw) for word in words(name.decode("utf-8", "replace")))
