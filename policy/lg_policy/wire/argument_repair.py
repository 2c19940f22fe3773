"""Repairs arguments that models send in the wrong form, where the tool's schema leaves no doubt what is meant. Pure.

- `{"start_line": null}`: null for an optional argument that does not allow null counts as left out.
- `{"cmd": "pytest -q"}`: a command line is taken apart where `lg-exec` is meant (`lg_policy.wire.command_lines`).
- `{"paths": "[\"a.txt\"]"}` and `{"limit": "5"}`: a string that holds JSON is read as that JSON where the schema
  wants an array, an object, a number or a boolean, and no string.
- `{"paths": "a.txt"}`, `{"path": ["a.txt"]}`: a single entry where a list of such is wanted, and the reverse.

Rules, approvals and the ledger must see what is executed. So a gateway calls `as_meant` before it decides, and the
server, which calls it again, finds nothing left to repair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json

from lg_policy.wire import command_lines

MAX_DEPTH = 8
"""Nesting levels of an argument that are checked."""
MAX_TEXT = 4_000_000
"""Characters of a string that is read as JSON."""
MAX_WHOLE = 2.0**53
"""A float below this is one whole number, and no other."""
MAX_REFERENCES = 20
"""References, and alternatives inside alternatives, that are followed one after another."""
MAX_PARTS = 5_000
"""Parts of a schema that are looked at for one call. Beyond that, nothing is certain: the schema may be hostile."""
TYPES = frozenset({"null", "boolean", "string", "array", "object", "number", "integer"})
_ONE_WORD = re.compile(r"[^\s,;\[\]{}\"']{1,4000}")
"""A text that cannot be a list written in another way."""
_ALTERNATIVES = ("anyOf", "oneOf")


def as_meant(schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in the form that the schema wants. What is not certain stays as it is."""
    return Repair(schema or {}).meant(arguments)


def arguments_from_text(text: str) -> dict[str, Any] | None:
    """Return the arguments that a client sent as one JSON text; `None` if the text is no JSON object.

    An empty text and `null` stand for no arguments.
    """
    if text.strip() in ("", "null"):
        return {}
    value = _parsed(text)
    return only_object(value) if isinstance(value, list) else value if isinstance(value, dict) else None


def only_object(listed: Sequence[Any]) -> dict[str, Any] | None:
    """Return the object that a list consists of; `None` for any other list."""
    return listed[0] if len(listed) == 1 and isinstance(listed[0], dict) else None


def target(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a local reference names by its path; `None` for any other, an anchor too."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and len(name) < 6 and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


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


class Repair:
    """The repair of a tool's arguments, for any number of calls. What a part of the schema says is worked out once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        """Keep the tool's schema, which must not change."""
        self._root = root
        self._commands = command_lines.commands_of(root)
        self._left = MAX_PARTS
        self._types_of: dict[int, frozenset[str] | None] = {}
        self._whole_of: dict[int, Mapping[str, Any]] = {}

    def meant(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments in the form that the schema wants. What is not certain stays as it is."""
        self._left = MAX_PARTS
        return command_lines.meant(self._commands, self._object(arguments, self._root, 0))

    def _object(self, value: Mapping[str, Any], schema: Any, depth: int) -> dict[str, Any]:
        whole = self._whole(schema)
        properties, required = whole.get("properties"), whole.get("required")
        if not isinstance(properties, Mapping):
            return dict(value)
        needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        made: dict[str, Any] = {}
        for name, item in value.items():
            part = properties.get(name)
            types = self._types(part)
            if item is None and types and "null" not in types and name not in needed:
                continue
            made[name] = self._value(item, part, types, depth)
        return made

    def _value(self, item: Any, part: Any, types: frozenset[str] | None, depth: int) -> Any:
        if isinstance(item, str) and types and "string" not in types:
            parsed = _parsed(item)
            if isinstance(parsed, float) and "number" not in types and abs(parsed) < MAX_WHOLE and parsed.is_integer():
                parsed = int(parsed)  # "5.0": JSON Schema takes the number 5.0 for an integer too
            if _types_of_value(parsed) & (types - {"null"}):
                item = parsed
        item = self._listed(item, part, types)
        if depth >= MAX_DEPTH or not isinstance(part, Mapping):
            return item
        if isinstance(item, dict):
            return self._object(item, part, depth + 1)
        items = self._whole(part).get("items") if isinstance(item, list) else None
        if not isinstance(items, Mapping):
            return item
        inner = self._types(items)
        return [self._value(entry, items, inner, depth + 1) for entry in item]

    def _listed(self, item: Any, part: Any, types: frozenset[str] | None) -> Any:
        """Return the only entry of a list where a text is wanted, and a list of one entry where a list is."""
        types = types or frozenset()
        if types == {"string"} and isinstance(item, list) and len(item) == 1 and isinstance(item[0], str):
            return item[0]
        if types != {"array"} or not isinstance(item, str | dict):
            return item
        entries = self._types(self._whole(part).get("items")) or frozenset()
        if isinstance(item, dict):
            return [item] if entries == {"object"} else item
        return [item] if entries == {"string"} and _ONE_WORD.fullmatch(item) else item

    def _types(self, part: Any) -> frozenset[str] | None:
        if not isinstance(part, Mapping):
            return None
        if id(part) not in self._types_of:  # the root holds the part, so no other can get its id
            self._types_of[id(part)] = self._allowed(part, MAX_REFERENCES)
        return self._types_of[id(part)]

    def _allowed(self, part: Any, room: int) -> frozenset[str] | None:
        """Return the types that a part allows; `None` if it does not say, or not simply."""
        self._left -= 1
        if not isinstance(part, Mapping) or room == 0 or self._left < 0:
            return None
        stated = [_stated(part.get("type")), _types_of_values(part)]
        if isinstance(part.get("$ref"), str):
            stated.append(self._allowed(target(self._root, part["$ref"]), room - 1))
        for keyword in _ALTERNATIVES:
            branches = part.get(keyword)
            if isinstance(branches, list) and branches:
                stated.append(self._allowed_by_any(branches, room - 1))
        known = [types for types in stated if types is not None]
        return frozenset.intersection(*known) if known else None

    def _allowed_by_any(self, branches: list[Any], room: int) -> frozenset[str] | None:
        found: frozenset[str] = frozenset()
        for branch in branches:
            types = self._allowed(branch, room)
            if types is None:
                return None
            found |= types
        return found

    def _whole(self, schema: Any) -> Mapping[str, Any]:
        """Return a part with what its references name put into it."""
        if not isinstance(schema, Mapping):
            return {}
        if id(schema) not in self._whole_of:
            whole = schema
            for _ in range(MAX_REFERENCES):
                reference = whole.get("$ref")
                found = target(self._root, reference) if isinstance(reference, str) else None
                if not isinstance(found, Mapping):
                    break
                beside = {key: value for key, value in whole.items() if key != "$ref"}
                whole = {**found, **beside}
            self._whole_of[id(schema)] = whole
        return self._whole_of[id(schema)]


def _stated(given: Any) -> frozenset[str] | None:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name in TYPES for name in names):
        return None
    return frozenset(names) | ({"integer"} if "number" in names else set())


def _types_of_values(part: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the types of the values that a part lists; `None` if it lists none."""
    values = [part["const"]] if "const" in part else part.get("enum")
    if not isinstance(values, list) or not values:
        return None
    return frozenset().union(*(_types_of_value(value) for value in values))


def _types_of_value(value: Any) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int):
        return frozenset({"integer", "number"})
    kinds = {type(None): "null", str: "string", float: "number", list: "array", dict: "object"}
    return frozenset({kinds[type(value)]} if type(value) in kinds else ())


def _parsed(text: str) -> Any:
    """Return the JSON value in a string; `None` if there is none that could have come as a value itself."""
    if len(text) > MAX_TEXT:
        return None
    try:
        value = from_json(text, allow_inf_nan=False, cache_strings=False)
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
    except (ValueError, RecursionError):
        return None
    return value
