"""Arguments as models send them by habit, taken where the tool's own schema leaves no doubt what is meant.

`null` for an argument that may be left out and may not be null counts as left out. A text that holds JSON counts as
that JSON where the schema wants an array, an object, a number or a boolean, and no text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lg_gateway.catalog.listed_schemas import TYPES, target

DEPTH = 6
JSON_CHARACTERS = 4_000_000
_FOLLOWED = 20


def meant(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are meant."""
    return _object(arguments, schema, schema, 0)


def allowed_types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str] | None:
    """Return the types that a part of a schema allows; `None` where it does not say, or not simply."""
    if not isinstance(schema, Mapping) or depth > _FOLLOWED:
        return None
    found: set[str] | None = None
    if isinstance(schema.get("$ref"), str):
        found = allowed_types(target(root, schema["$ref"]), root, depth + 1)
    given = schema.get("type")
    names = {name for name in (given if isinstance(given, list) else [given]) if name in TYPES}
    if names:
        found = names if found is None else found & names
    for key in ("anyOf", "oneOf"):
        parts = schema.get(key)
        if isinstance(parts, list) and parts:
            each = [allowed_types(part, root, depth + 1) for part in parts[:_FOLLOWED]]
            if None in each or len(parts) > _FOLLOWED:
                continue
            union: set[str] = set().union(*(types or set() for types in each))
            found = union if found is None else found & union
    if isinstance(schema.get("enum"), list) and found is not None and None in schema["enum"]:
        found = found | {"null"}
    return found


def _object(value: Mapping[str, Any], schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties, required = _properties(schema, root)
    made: dict[str, Any] = {}
    for name, item in value.items():
        part = properties.get(name)
        types = allowed_types(part, root)
        if item is None and types and "null" not in types and name not in required:
            continue
        made[name] = _value(item, part, types, root, depth)
    return made


def _value(item: Any, part: Any, types: set[str] | None, root: Mapping[str, Any], depth: int) -> Any:
    if isinstance(item, str) and types and "string" not in types:
        item = _parsed(item, types)
    if depth >= DEPTH or not isinstance(part, Mapping):
        return item
    if isinstance(item, dict):
        return _object(item, part, root, depth + 1)
    plain = _followed(part, root)
    if isinstance(item, list) and isinstance(plain.get("items"), Mapping):
        inner = allowed_types(plain["items"], root)
        return [_value(each, plain["items"], inner, root, depth + 1) for each in item]
    return item


def _parsed(text: str, types: set[str]) -> Any:
    """Return what a text holds where that is of a wanted type, else the text."""
    if len(text) > JSON_CHARACTERS:
        return text
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return value if _type_of(value) & types else text


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _type_of(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    kinds: dict[type, str] = {float: "number", list: "array", dict: "object"}
    return {kinds[type(value)]} if type(value) in kinds else set()


def _properties(schema: Any, root: Mapping[str, Any]) -> tuple[Mapping[str, Any], set[str]]:
    plain = _followed(schema, root)
    properties, required = plain.get("properties"), plain.get("required")
    names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return (properties if isinstance(properties, Mapping) else {}), names


def _followed(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_FOLLOWED):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            break
        schema = target(root, schema["$ref"])
    return schema if isinstance(schema, Mapping) else {}
