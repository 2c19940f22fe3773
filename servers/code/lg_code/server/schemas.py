"""JSON Schemas of the tools' arguments and results."""

from __future__ import annotations

from typing import Any

from lg_code.answers.references import KINDS as USES
from lg_code.answers.repo_map import DEFAULT_TOKENS
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


def map_input(limits: CodeSettings) -> Schema:
    """Return the schema of arguments of `repo_map`."""
    most = limits.map_max_tokens
    budget: Schema = {
        "type": "integer",
        "minimum": 100,
        "maximum": most,
        "description": f"Tokens of the answer (default {min(DEFAULT_TOKENS, most)})",
    }
    focus: Schema = {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 4096},
        "maxItems": 20,
        "description": "Files, directories or names that you work on",
    }
    return _object({"budget_tokens": budget, "focus": focus, "paths": paths()})


MAP_OUTPUT = result(
    {
        "files": many("path, language, symbols (each: name, kind, line)"),
        "tokens": WHOLE,
        "budget_tokens": WHOLE,
        "left_out": {"type": "object", "description": "files, definitions"},
    }
)


def _kind() -> Schema:
    return {"type": "string", "enum": list(KINDS), "description": "Only definitions of this kind"}


def find_input(limits: CodeSettings) -> Schema:
    """Return the schema of arguments of `find_symbol`."""
    properties = {"name": name("Name, Class.method, or a part of a name"), "kind": _kind(), "paths": paths()}
    return _object({**properties, "limit": limit(limits, 20)}, ["name"])


FIND_OUTPUT = result(
    {
        "symbols": SYMBOLS,
        "match": {"type": "string", "description": "exact, ignoring case, or part"},
        "total": WHOLE,
    }
)


def read_input() -> Schema:
    """Return the schema of arguments of `read_symbol`."""
    properties = {
        "name": name("Name, or Class.method"),
        "path": path("File or directory, where several define the name"),
        "kind": _kind(),
    }
    return _object(properties, ["name"])


READ_OUTPUT = result(
    {
        "symbols": many("name, kind, parent, path, start_line, end_line, signature, text, truncated"),
        "total": WHOLE,
    }
)


def references_input(limits: CodeSettings) -> Schema:
    """Return the schema of arguments of `references`."""
    kinds: Schema = {
        "type": "array",
        "items": {"type": "string", "enum": list(USES)},
        "maxItems": len(USES),
        "description": "Only these kinds of use (default all)",
    }
    properties = {"name": name("Name; of Class.method, the last part counts"), "kinds": kinds, "paths": paths()}
    return _object({**properties, "limit": limit(limits, 100)}, ["name"])


REFERENCES_OUTPUT = result(
    {
        "references": many("path, line, kind, scope, text"),
        "files": {"type": "object", "description": "Number of files that define, call, import and mention the name"},
        "total_files": WHOLE,
        "more_files": {"type": "array", "items": TEXT, "description": "Some of the files that are not listed by line"},
    }
)


def tests_input(limits: CodeSettings) -> Schema:
    """Return the schema of arguments of `tests_for`: a path or a symbol."""
    properties = {
        "path": path("File whose tests are wanted"),
        "symbol": name("Or a name, or Class.method"),
        "limit": limit(limits, 30),
    }
    return _object(properties)


TESTS_OUTPUT = result({"tests": many("path, reasons, functions"), "total": WHOLE})
