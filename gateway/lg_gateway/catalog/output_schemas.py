"""A stranger's output schema as clients may be given it: without patterns.

Clients check answers against it with expressions that a text can drive into exponential time, and the server chooses
both. The gateway has checked them already, in linear time; what a client then checks is a little less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMED = ("properties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")
_PATTERNS = ("pattern", "patternProperties")
# Where fewer tests in a part make the whole refuse more.
_TURNED = ("not", "oneOf", "if", "then", "else", "maxContains", "unevaluatedItems")
_NAMES_LEFT = ("additionalProperties", "unevaluatedProperties")


def without_patterns(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that fits whatever the given one fits, and in which no pattern is left."""
    if not _has(schema, _PATTERNS):
        return dict(schema)
    names = _NAMES_LEFT if _has(schema, ("patternProperties",)) else ()
    made: dict[str, Any] = _plain(schema, (*_PATTERNS, *_TURNED, *names))
    return made


def _plain(schema: Any, dropped: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_plain(one, dropped) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {}
    for key, value in schema.items():
        if key in _DATA:
            made[key] = value
        elif key in _NAMED and isinstance(value, Mapping):
            made[key] = {name: _plain(one, dropped) for name, one in value.items()}
        elif key not in dropped:
            made[key] = _plain(value, dropped)
    return made


def _has(schema: Any, words: tuple[str, ...]) -> bool:
    """Whether one of these words stands anywhere in a schema as a key."""
    if isinstance(schema, Mapping):
        return any(word in schema for word in words) or any(_has(value, words) for value in schema.values())
    return isinstance(schema, list) and any(_has(value, words) for value in schema)
