"""Translates tools and answers into the part of JSON Schema that a provider's client passes on.

Google's API knows a part of JSON Schema only and refuses a whole request for one word more; its client and Ollama's
leave out, or take for a text, what they do not know. So both get what is plain: one type, its words, its choices. The
gateway checks the arguments by the whole schema anyway, and its error says what would be right.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.llm.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_DEPTH = 8
"""Levels of a schema that are passed on."""
MAX_PARTS = 400
"""Parts of one tool's schema that are passed on."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def tools_for(provider: str, tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tools as that provider's client takes them."""
    known = PROVIDERS.get(provider)
    if known is None or not known.plain_schemas:
        return list(tools)
    return [
        {**tool, "function": {**tool["function"], "parameters": plain(tool["function"]["parameters"])}}
        for tool in tools
    ]


def schema_for(provider: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer's schema as a provider may be held to it; `None` where that would say something else.

    Anthropic's closes every object: one that may hold anything, as the arguments of a planned call, would be empty.
    """
    known = PROVIDERS.get(provider)
    if known is None or not (known.open_schemas or not _has_open(schema)):
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _has_open(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_open, schema))
    if not isinstance(schema, dict):
        return False
    return schema.get("additionalProperties") not in (None, False) or any(map(_has_open, schema.values()))


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's arguments in plain types.

    Each has one type, its description, choices, properties or items. Of several types the first that is not null
    counts. What lies too deep, or comes after `MAX_PARTS` parts, becomes a text.
    """
    return {"type": "object", "properties": {}, **_Teller(schema).told(schema)}


class _Teller:
    """Tells one schema. A stranger wrote it: it may contain itself, and more than once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_PARTS

    def told(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        merged = self._merged(schema)
        kind = _type(merged)
        found: dict[str, Any] = {"type": kind}
        if isinstance(merged.get("description"), str):
            found["description"] = merged["description"]
        _choose(found, [merged["const"]] if "const" in merged else merged.get("enum"))
        if kind == "array":
            found["items"] = self.told(merged.get("items") if depth < MAX_DEPTH else {}, depth + 1)
        if kind == "object" and isinstance(merged.get("properties"), dict) and depth < MAX_DEPTH:
            found["properties"] = {name: self.told(part, depth + 1) for name, part in merged["properties"].items()}
            named = merged.get("required")
            required = [name for name in named if name in found["properties"]] if isinstance(named, list) else []
            found |= {"required": required} if required else {}
        return found

    def _merged(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """The schema with what it refers to, all of `allOf`, and the first choice of `anyOf` or `oneOf`."""
        self._left -= 1
        if not isinstance(schema, dict) or self._left < 0 or depth > MAX_DEPTH:
            return {}
        parts: list[Any] = [self._referred(schema.get("$ref"))]
        parts += _list(schema.get("allOf"))
        for name in ("anyOf", "oneOf"):
            options = [
                option
                for option in _list(schema.get(name))
                if isinstance(option, dict) and option.get("type") != "null"
            ]
            parts += options[:1]
        found: dict[str, Any] = {}
        for part in parts:
            found |= self._merged(part, depth + 1) if part else {}
        return found | schema

    def _referred(self, name: Any) -> Any:
        """What a reference inside of the same schema names."""
        if not isinstance(name, str) or not name.startswith("#/"):
            return None
        found: Any = self._root
        for step in name.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _choose(found: dict[str, Any], choices: Any) -> None:
    """Tell the choices: of texts as such, of everything else in words."""
    if not isinstance(choices, list) or not choices:
        return
    if found["type"] == "string":
        found["enum"] = [str(choice) for choice in choices if choice is not None]
        return
    told = f"one of {', '.join(json.dumps(choice) for choice in choices)}"
    found["description"] = f"{found['description']} ({told})" if "description" in found else told


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    for kind in named if isinstance(named, list) else [named]:
        if isinstance(kind, str) and kind in _TYPES.values():
            return kind
    for word, kind in (("properties", "object"), ("additionalProperties", "object"), ("items", "array")):
        if word in schema:
            return kind
    example = schema.get("const", next(iter(_list(schema.get("enum"))), ""))
    return _TYPES.get(type(example), "string")
