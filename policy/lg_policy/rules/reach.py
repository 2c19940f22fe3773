"""Finds rules whose condition cannot match any call that a tool's schema allows. Pure.

It finds arguments that do not exist, values that the tool never accepts, and tests of the wrong type. It reports
only what is certain: disjoint ranges, patterns that exclude each other, and schemas with references are not found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lg_policy.rules.predicates import TYPES, compiled

_MEANT_FOR = {
    "pattern": "string", "minLength": "string", "maxLength": "string",
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "exclusiveMaximum": "number",
    "multipleOf": "number", "items": "array", "contains": "array", "minItems": "array", "maxItems": "array",
    "properties": "object",
}  # fmt: skip
"""The type that each keyword tests; JSON Schema accepts values of any other type."""

MISSING: Any = object()


def meant_type(schema: Mapping[str, Any]) -> str | None:
    """Return the type that a schema's keywords test, if it names no type itself and they agree."""
    if "type" in schema or "const" in schema or "enum" in schema:
        return None
    types = {_MEANT_FOR[keyword] for keyword in schema if keyword in _MEANT_FOR}
    return types.pop() if len(types) == 1 else None


def never(condition: Mapping[str, Any], tool: Mapping[str, Any], search: Any) -> str | None:
    """Say why no call that fits the tool's input schema can satisfy the condition, or return `None`.

    `search` compiles a pattern; it raises `ConfigError` for one that it cannot run.
    """
    return next(_conflicts(condition, tool, "", search), None)


def _conflicts(wanted: Any, known: Any, at: str, search: Any) -> Iterator[str]:
    if not isinstance(wanted, Mapping) or not isinstance(known, Mapping):
        return
    yield from _values(wanted, known, at, search)
    yield from _types(wanted, known, at)
    yield from _members(wanted, known, at, search)
    for inner in wanted.get("allOf", ()):
        yield from _conflicts(inner, known, at, search)
    for keyword in ("anyOf", "oneOf"):
        reasons = [next(_conflicts(inner, known, at, search), None) for inner in wanted.get(keyword, ())]
        if reasons and all(reasons):
            yield str(reasons[0])


def _values(wanted: Mapping[str, Any], known: Mapping[str, Any], at: str, search: Any) -> Iterator[str]:
    given, taken = _listed(wanted), _listed(known)
    if given is MISSING and taken is MISSING:
        return
    candidates = given if given is not MISSING else taken
    shown = ", ".join(map(repr, candidates[:5]))
    own = _test(wanted, search)
    if own is not None and not any(own(value) for value in candidates):
        yield (
            f"{_name(at)} is one of {shown}, and none of them fits"
            if given is MISSING
            else (f"{_name(at)} cannot be {shown} and fit the rest of the condition")
        )
        return
    theirs = _test(_local(known), search)
    if given is not MISSING and theirs is not None and not any(theirs(value) for value in candidates):
        takes = f"it is one of {taken}" if taken is not MISSING else f"its schema says {json.dumps(_local(known))}"
        yield f"{_name(at)} is never {shown}; {takes}"


def _types(wanted: Mapping[str, Any], known: Mapping[str, Any], at: str) -> Iterator[str]:
    takes = _names(known.get("type"))
    if not takes or "const" in wanted or "enum" in wanted:
        return
    asked = _names(wanted.get("type"))
    if asked and not any(_compatible(wish, kind) for wish in asked for kind in takes):
        yield f"{_name(at)} is {' or '.join(takes)}, never {' or '.join(asked)}"
    for keyword, kind in _MEANT_FOR.items():
        if keyword in wanted and not any(_compatible(kind, taken) for taken in takes):
            yield f"{_name(at)} is {' or '.join(takes)}; {keyword} looks at {kind}s only"


def _members(wanted: Mapping[str, Any], known: Mapping[str, Any], at: str, search: Any) -> Iterator[str]:
    asked, there = wanted.get("properties"), known.get("properties")
    if isinstance(asked, Mapping) and isinstance(there, Mapping):
        for name, inner in asked.items():
            place = f"{at}.{name}" if at else name
            if name in there:
                yield from _conflicts(inner, there[name], place, search)
            elif known.get("additionalProperties") is False or name in wanted.get("required", ()):
                owner = "the tool" if not at else repr(at)
                yield f"{owner} has no argument {name!r}; it has {', '.join(sorted(there)) or 'none'}"
    if isinstance(wanted.get("contains"), Mapping):
        yield from _conflicts(wanted["contains"], known.get("items"), f"{at}[]", search)


def _listed(schema: Mapping[str, Any]) -> Any:
    """Return the values that a schema names, `MISSING` where it names none."""
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if isinstance(schema.get("enum"), list) else MISSING


def _local(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tests that apply to a plain value. A server's patterns may not run here and are left out."""
    kept = ("type", "const", "enum", "minLength", "maxLength", "minimum", "maximum")
    return {key: value for key, value in schema.items() if key in kept}


def _test(schema: Mapping[str, Any], search: Any) -> Any:
    """Return a compiled schema; `None` for what the common part of JSON Schema cannot say, or what is malformed."""
    try:
        return compiled(schema, search)
    except (KeyError, TypeError, AttributeError):  # a server's schema is checked by nobody before it arrives here
        return None


def _names(given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return [name for name in names if name in TYPES]


def _compatible(left: str, right: str) -> bool:
    return left == right or {left, right} == {"integer", "number"}


def _name(at: str) -> str:
    return f"argument {at!r}" if at else "the call"
