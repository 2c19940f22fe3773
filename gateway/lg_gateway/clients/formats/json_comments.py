"""Reads JSON as editors write it: with comments and trailing commas. Tells which keys stand twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

_COMMENT_OR_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"?|,(?=\s*[}\]])', re.DOTALL)


class JsonObject(dict[str, Any]):
    """An object of a JSON text. `doubled` are the keys that stand in it more than once; the last one counts."""

    doubled: frozenset[str] = frozenset()


def without_comments(text: str) -> str:
    """Return JSON text without comments and trailing commas, with the same line numbers."""
    plain = _COMMENT_OR_TEXT.sub(
        lambda found: found.group() if found.group().startswith('"') else "\n" * found.group().count("\n"), text
    )
    return _TRAILING_COMMA.sub(lambda found: found.group() if found.group() != "," else "", plain)


def parse_json(text: str) -> Any:
    """Return what a JSON text says, with comments or without. Raises `ValueError` or `RecursionError`."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except ValueError:
        plain = without_comments(text)
        return json.loads(plain, object_pairs_hook=_object) if plain.strip() else JsonObject()


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    found = JsonObject(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        found.doubled = frozenset(key for key, count in counts.items() if count > 1)
    return found
