"""Tools and answers in the part of JSON Schema that a provider's client really passes on.

Google's API knows a part of JSON Schema only and refuses a whole request for one word more; its client and Ollama's
leave out, or take for a text, what they do not know. So both get what is plain: one type, its words, its choices. The
gateway checks the arguments by the whole schema anyway, and its error says what would be right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLAIN = ("google_genai", "ollama")
MAX_DEPTH = 8
"""Levels of a schema that are told; a definition may contain itself."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def tools_for(provider: str, tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as that provider's client takes them."""
    if provider not in PLAIN:
        return list(tools)
    return [{**tool, "function": {**tool["function"], "parameters": _tool(tool["function"])}} for tool in tools]


def schema_for(provider: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """The answer's schema as a provider may be held to it; `None` where that would say something else.

    Anthropic's closes every object: one that may hold anything, as the arguments of a planned call, would be empty.
    """
    if provider not in PROVIDERS or (provider == "anthropic" and _has_open(schema)):
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _has_open(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_open, schema))
    if not isinstance(schema, dict):
        return False
    return schema.get("additionalProperties") not in (None, False) or any(map(_has_open, schema.values()))


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = function["parameters"]
    return {"type": "object", "properties": {}, **plain(schema, schema)}


def plain(schema: Any, root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """One type with its description, choices, properties or items; of several types the first that is not null."""
    merged = _merged(schema, root)
    kind = _type(merged)
    found: dict[str, Any] = {"type": kind}
    if isinstance(merged.get("description"), str):
        found["description"] = merged["description"]
    choices = [merged["const"]] if "const" in merged else merged.get("enum")
    if isinstance(choices, list) and choices:
        if kind == "string":
            found["enum"] = [str(one) for one in choices if one is not None]
        else:
            told = f"one of {', '.join(json.dumps(one) for one in choices)}"
            found["description"] = f"{found['description']} ({told})" if "description" in found else told
    if kind == "array":
        items = merged.get("items") if depth < MAX_DEPTH else None
        found["items"] = plain(items if isinstance(items, dict) else {}, root, depth + 1)
    if kind == "object" and isinstance(merged.get("properties"), dict) and depth < MAX_DEPTH:
        found["properties"] = {name: plain(one, root, depth + 1) for name, one in merged["properties"].items()}
        required = [name for name in merged.get("required") or () if name in found["properties"]]
        if required:
            found["required"] = required
    return found


def _merged(schema: Any, root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema with what it refers to, all of `allOf`, and the first choice of `anyOf` or `oneOf`."""
    if not isinstance(schema, dict):
        return {}
    parts: list[Any] = [_referred(schema.get("$ref"), root)]
    parts += schema.get("allOf") or ()
    for name in ("anyOf", "oneOf"):
        options = [one for one in schema.get(name) or () if isinstance(one, dict) and one.get("type") != "null"]
        parts += options[:1]
    found: dict[str, Any] = {}
    for part in parts if depth < MAX_DEPTH else ():
        found |= _merged(part, root, depth + 1)
    return found | schema


def _referred(name: Any, root: Mapping[str, Any]) -> Any:
    """What a reference inside of the same schema names."""
    if not isinstance(name, str) or not name.startswith("#/"):
        return {}
    found: Any = root
    for step in name.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    for one in named if isinstance(named, list) else [named]:
        if isinstance(one, str) and one != "null":
            return one
    for word, kind in (("properties", "object"), ("additionalProperties", "object"), ("items", "array")):
        if word in schema:
            return kind
    example = schema.get("const", (schema.get("enum") or [""])[0])
    return _TYPES.get(type(example), "string")
