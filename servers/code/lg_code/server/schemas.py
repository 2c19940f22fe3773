"""JSON Schemas of the tools' arguments and results."""

from __future__ import annotations

from typing import Any

from lg_policy.config.settings import CodeSettings

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
_KINDS_WORDS = """
class function method variable constant field type interface struct enum member trait impl module macro
declaration heading
"""
KINDS = tuple(_KINDS_WORDS.split())


def _object(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return schema


def result(properties: dict[str, Schema]) -> Schema:
    """Return the schema of a tool's output: all of these properties, or only `error` when the call failed."""
    notes: Schema = {"type": "array", "items": TEXT, "description": "What the answer does not know"}
    error: Schema = {"type": "object", "description": "code, message, hint"}
    return {"type": "object", "properties": {**properties, "notes": notes, "error": error}}


def many(words: str) -> Schema:
    """Return the schema of an array of objects, described in words: clients check results against it."""
    return {"type": "array", "items": {"type": "object"}, "description": f"each: {words}"}


SYMBOLS = many("name, kind, parent, path, start_line, end_line, signature")


def path(description: str) -> Schema:
    """Return the schema of a path argument; the format tells the gateway to normalise it before it applies rules."""
    return {"type": "string", "format": "lg-path", "maxLength": 4096, "description": description}


def name(description: str) -> Schema:
    """Return the schema of a symbol's name."""
    return {"type": "string", "minLength": 1, "maxLength": 500, "description": description}


def paths() -> Schema:
    """Return the schema of the `paths` argument."""
    return {
        "type": "array",
        "items": path("Directory or file"),
        "maxItems": 100,
        "description": "Only below these directories or in these files",
    }


def limit(limits: CodeSettings, default: int) -> Schema:
    """Return the schema of the `limit` argument."""
    most = limits.max_results
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": most,
        "description": f"Results (default {min(default, most)}, at most {most})",
    }


def outline_input(limits: CodeSettings) -> Schema:
    """Return the schema of arguments of `outline`."""
    return _object({"path": path("File, relative to the root"), "limit": limit(limits, 200)}, ["path"])


OUTLINE_OUTPUT = result(
    {"path": TEXT, "language": TEXT, "reader": TEXT, "lines": WHOLE, "symbols": SYMBOLS, "total": WHOLE}
)
