"""JSON Schemas of `search_code`, and how it is described to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lg_code.search.query import LONGEST_QUERY
from lg_code.search.tool import DEFAULT_RESULTS, MOST_RESULTS

TITLE = "Search code"
DESCRIPTION = (
    "Find the code that a question, a bug report or a name is about: the files that fit best, each with the "
    "definition in it that fits best. Words are found by their stem and inside identifiers. "
    "For every use of a name, call references."
)
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {"type": "object"},
            "description": "each: path, start_line, end_line, symbol, kind, score (1 is the best), line, snippet",
        },
        "total": {"type": "integer"},
        "notes": {"type": "array", "items": {"type": "string"}, "description": "What the answer does not know"},
        "error": {"type": "object", "description": "code, message, hint"},
    },
}


def input_schema(kinds: Sequence[str]) -> dict[str, Any]:
    """Return the schema of its arguments; `kinds` are the kinds of definitions that the index tells apart."""
    return {
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_QUERY,
                "description": "Words, a question, or a name",
            },
            "paths": {
                "type": "array",
                "items": {"type": "string", "format": "lg-path", "maxLength": 4096, "description": "Directory or file"},
                "maxItems": 100,
                "description": "Only below these directories or in these files",
            },
            "kind": {"type": "string", "enum": list(kinds), "description": "Only definitions of this kind"},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_RESULTS,
                "description": f"Results (default {DEFAULT_RESULTS}, at most {MOST_RESULTS})",
            },
        },
        "required": ["query"],
        "additionalProperties": False,
    }
