"""The common part of JSON Schema as plain functions, for rules that are judged on every call.

Source: JSON Schema 2020-12. `compiled` returns `None` for a schema that uses anything else, which the caller then
leaves to the `jsonschema` library. `tests/policy/rules/test_predicates.py` shows that both agree on every value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

Predicate = Callable[[Any], bool]
Compiler = Callable[[str], Any]
"""Compiles a pattern to an object with `search`."""

_ANNOTATIONS = frozenset(
    ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "format")
)


def compiled(schema: Any, pattern: Compiler) -> Predicate | None:
    """Return a function that tests a value against a valid schema; `None` if that needs the library."""
    if isinstance(schema, bool):
        return _always if schema else _never
    if not isinstance(schema, Mapping):  # a list of schemas, which `items` may be in older drafts
        return None
    parts: list[Predicate] = []
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS or keyword in ("additionalProperties", "patternProperties"):
            continue
        make = _KEYWORDS.get(keyword)
        part = make(value, pattern) if make is not None else None
        if part is None:
            return None
        parts.append(part)
    if "additionalProperties" in schema or "patternProperties" in schema:
        part = _other_names(schema, pattern)
        if part is None:
            return None
        parts.append(part)
    return _all(parts)


def equal(left: Any, right: Any) -> bool:
    """Return whether two JSON values are the same: 1 is 1.0, and neither is `true`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def _always(_value: Any) -> bool:
    return True


def _never(_value: Any) -> bool:
    return False


def _all(parts: Sequence[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    fixed = tuple(parts)

    def every(value: Any) -> bool:
        for part in fixed:  # noqa: SIM110  a generator costs more than the whole decision
            if not part(value):
                return False
        return True

    return every


def is_number(value: Any) -> bool:
    """Return whether a value is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: Mapping[str, Predicate] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": is_number,
    "integer": lambda value: is_number(value) and (isinstance(value, int) or value.is_integer()),
}


def _type(names: Any, _pattern: Compiler) -> Predicate:
    if isinstance(names, str):
        return TYPES[names]
    tests = [TYPES[name] for name in names]
    return lambda value: any(test(value) for test in tests)


def _const(wanted: Any, _pattern: Compiler) -> Predicate:
    return lambda value: equal(value, wanted)


def _enum(allowed: Any, _pattern: Compiler) -> Predicate:
    return lambda value: any(equal(value, member) for member in allowed)


def _pattern(text: str, pattern: Compiler) -> Predicate:
    search = pattern(text).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _length(kind: type[Sized], at_least: bool) -> Callable[[Any, Compiler], Predicate]:
    def make(bound: Any, _pattern: Compiler) -> Predicate:
        if at_least:
            return lambda value: not isinstance(value, kind) or len(value) >= bound
        return lambda value: not isinstance(value, kind) or len(value) <= bound

    return make


def _bound(within: Callable[[Any, Any], bool]) -> Callable[[Any, Compiler], Predicate]:
    def make(bound: Any, _pattern: Compiler) -> Predicate:
        return lambda value: not is_number(value) or within(value, bound)

    return make


def _required(names: Any, _pattern: Compiler) -> Predicate:
    wanted = tuple(names)
    return lambda value: not isinstance(value, dict) or all(name in value for name in wanted)


def _properties(inner: Any, pattern: Compiler) -> Predicate | None:
    made = {name: compiled(schema, pattern) for name, schema in inner.items()}
    parts = [(name, part) for name, part in made.items() if part is not None]
    if len(parts) < len(made):
        return None

    def properties(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for name, part in parts:  # noqa: SIM110  a generator costs more than the whole decision
            if name in value and not part(value[name]):
                return False
        return True

    return properties


def _other_names(schema: Mapping[str, Any], pattern: Compiler) -> Predicate | None:
    """Compile `patternProperties`, and `additionalProperties` for the names that nothing else covers."""
    named = frozenset(schema.get("properties", ()))
    made = [(pattern(text), compiled(inner, pattern)) for text, inner in schema.get("patternProperties", {}).items()]
    parts = [(expression, part) for expression, part in made if part is not None]
    rest = compiled(schema.get("additionalProperties", True), pattern)
    if rest is None or len(parts) < len(made):
        return None

    def others(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for name, item in value.items():
            hits = [part for expression, part in parts if expression.search(name)]
            if not all(part(item) for part in hits) or not (hits or name in named or rest(item)):
                return False
        return True

    return others


def _items(inner: Any, pattern: Compiler) -> Predicate | None:
    part = compiled(inner, pattern)
    return None if part is None else lambda value: not isinstance(value, list) or all(map(part, value))


def _contains(inner: Any, pattern: Compiler) -> Predicate | None:
    part = compiled(inner, pattern)
    return None if part is None else lambda value: not isinstance(value, list) or any(map(part, value))


def _combined(enough: Callable[[int, int], bool]) -> Callable[[Any, Compiler], Predicate | None]:
    def make(branches: Any, pattern: Compiler) -> Predicate | None:
        parts = [part for branch in branches if (part := compiled(branch, pattern)) is not None]
        if len(parts) < len(branches):
            return None
        return lambda value: enough(sum(part(value) for part in parts), len(parts))

    return make


def _not(inner: Any, pattern: Compiler) -> Predicate | None:
    part = compiled(inner, pattern)
    return None if part is None else lambda value: not part(value)


_KEYWORDS: Mapping[str, Callable[[Any, Compiler], Predicate | None]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "pattern": _pattern,
    "minLength": _length(str, at_least=True),
    "maxLength": _length(str, at_least=False),
    "minItems": _length(list, at_least=True),
    "maxItems": _length(list, at_least=False),
    "minProperties": _length(dict, at_least=True),
    "maxProperties": _length(dict, at_least=False),
    "minimum": _bound(lambda value, bound: not value < bound),
    "maximum": _bound(lambda value, bound: not value > bound),
    "exclusiveMinimum": _bound(lambda value, bound: not value <= bound),
    "exclusiveMaximum": _bound(lambda value, bound: not value >= bound),
    "required": _required,
    "properties": _properties,
    "items": _items,
    "contains": _contains,
    "anyOf": _combined(lambda hits, _all: hits > 0),
    "oneOf": _combined(lambda hits, _all: hits == 1),
    "allOf": _combined(lambda hits, total: hits == total),
    "not": _not,
}
