"""What the schemas of listed tools may contain so that the strictest clients take them: one profile for all servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

COMBINATORS = {"oneOf", "anyOf", "allOf", "not", "if", "then", "else", "dependentSchemas"}
REFERENCES = {"$ref", "$defs", "definitions", "$dynamicRef", "$recursiveRef", "$anchor", "$id"}
MAX_NAME = 40


def problems(tools: list[dict[str, Any]]) -> list[str]:
    """Everything that a strict client refuses in an answer to `tools/list`, with its place."""
    found: list[str] = []
    for tool in tools:
        if len(tool["name"]) > MAX_NAME:
            found.append(f"{tool['name']}: the name is longer than {MAX_NAME} characters")
        for key in ("inputSchema", "outputSchema"):
            schema = tool.get(key)
            if schema is not None:
                found += [f"{tool['name']}.{key}{problem}" for problem in _problems(schema)]
    return found


def _problems(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        yield ": is no object"
        return
    if schema.get("type") != "object":
        yield ": has not the type object at the top"
    for word in sorted(COMBINATORS & schema.keys()):
        yield f": has {word} at the top"
    for place, part in _parts(schema, ""):
        for word in sorted(REFERENCES & part.keys()):
            yield f"{place}: has {word}"
        if "enum" in part and "type" not in part:
            yield f"{place}: has an enum without a type"
        if part.get("type") == "array" and not isinstance(part.get("items"), Mapping):
            yield f"{place}: is an array without items"


def _parts(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each subschema with its place."""
    yield place, schema
    for word in ("properties", "patternProperties", "$defs"):
        for name, part in schema.get(word, {}).items():
            if isinstance(part, Mapping):
                yield from _parts(part, f"{place}.{name}")
    for word in ("items", "additionalProperties", "propertyNames", "not"):
        if isinstance(schema.get(word), Mapping):
            yield from _parts(schema[word], f"{place}.{word}")
    for word in ("oneOf", "anyOf", "allOf"):
        for number, part in enumerate(schema.get(word, ())):
            yield from _parts(part, f"{place}.{word}[{number}]")
