"""Corrects arguments that models often send in the wrong form, where the meaning is certain. Pure.

- `{"start_line": null}`: null for an optional argument that does not allow null counts as left out.
- `{"paths": "[\"a.txt\"]"}`: JSON text where the schema wants an array or an object, and not a string, is parsed.

Rules, approvals and the ledger must see what is executed, so a gateway calls `as_meant` before it decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

MAX_DEPTH = 8
"""Nesting levels of an argument that are checked."""
_BRANCHES = ("anyOf", "oneOf")
_TYPES = frozenset({"null", "boolean", "string", "array", "object", "number", "integer"})


def as_meant(schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in the form that the schema wants; what is not certain stays as it is."""
    found = _object(schema or {}, arguments, MAX_DEPTH)
    return dict(found)


def arguments_from_text(text: str) -> dict[str, Any] | None:
    """Return the arguments that a client sent as one JSON text; `None` if the text is no JSON object."""
    value = _parsed(text)
    return value if isinstance(value, dict) else None


def listed_problems(schema: Any, *, place: str = "", top: bool = True) -> list[str]:
    """Name what in a tool's schema the strictest clients refuse.

    These are a combinator at the top, and `$ref` or `$defs` anywhere.
    """
    if isinstance(schema, list):
        return [problem for inner in schema for problem in listed_problems(inner, place=place, top=False)]
    if not isinstance(schema, Mapping):
        return []
    problems = [f"{place or 'the schema'} has {name}" for name in ("$ref", "$defs", "definitions") if name in schema]
    if top:
        problems += [
            f"the schema has {name} at its top" for name in ("anyOf", "oneOf", "allOf", "not") if name in schema
        ]
        if schema.get("type") != "object":
            problems.append("the schema is not of type object")
    for name, inner in schema.items():
        if name not in ("const", "enum", "default", "examples"):
            problems += listed_problems(inner, place=f"{place}.{name}" if place else name, top=False)
    return problems


def _object(schema: Mapping[str, Any], value: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or depth == 0:
        return value
    required = schema.get("required")
    needed = (
        frozenset(name for name in required if isinstance(name, str)) if isinstance(required, list) else frozenset()
    )
    made = {}
    for name, item in value.items():
        inner = properties.get(name)
        if item is None and name not in needed and isinstance(inner, Mapping) and not _takes(inner, "null"):
            continue
        made[name] = _value(inner, item, depth - 1) if isinstance(inner, Mapping) else item
    return made


def _value(schema: Mapping[str, Any], value: Any, depth: int) -> Any:
    if isinstance(value, str) and not _takes(schema, "string"):
        parsed = _parsed(value)
        kind = "array" if isinstance(parsed, list) else "object" if isinstance(parsed, dict) else ""
        if kind and _takes(schema, kind):
            value = parsed
    if isinstance(value, dict):
        return _object(schema, value, depth)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, Mapping) and depth > 0:
        return [_value(items, item, depth - 1) for item in value]
    return value


def _takes(schema: Mapping[str, Any], kind: str, depth: int = MAX_DEPTH) -> bool:
    """Return whether a value of a type may fit; yes where that is not certain."""
    named = schema.get("type")
    kinds = [named] if isinstance(named, str) else named
    if isinstance(kinds, list) and _TYPES.issuperset(map(str, kinds)) and kind not in kinds:
        return False
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return not isinstance(values, list) or any(_kind(value) == kind for value in values)
    for keyword in _BRANCHES:
        branches = schema.get(keyword)
        if isinstance(branches, list) and depth > 0:
            return any(not isinstance(branch, Mapping) or _takes(branch, kind, depth - 1) for branch in branches)
    return True


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds: Iterable[tuple[type, str]] = ((str, "string"), (list, "array"), (dict, "object"), (int, "integer"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "number")


def _parsed(text: str) -> Any:
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
