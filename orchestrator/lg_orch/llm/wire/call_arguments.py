"""Reads the arguments of a tool call, and makes whole characters of what came in halves. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 100
"""Levels of a call's arguments."""
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def arguments_object(text: str) -> dict[str, Any]:
    """Return a call's arguments. Raises `ValueError` where they are no JSON object, saying what they are.

    What certainly means one is taken: nothing or null for no arguments, JSON in a JSON string, an object alone in a
    list, JSON in a Markdown fence.
    """
    if not text.strip():
        return {}
    fenced = _FENCE.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced is not None else text)
        if isinstance(value, str):
            value = _inner(value)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return {}
    if too_deep(value):
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {type(value).__name__}: {text.strip()[:80]}")  # noqa: TRY004 # it is a text
    return value


def too_deep(value: Any) -> bool:
    """Tell whether a value is nested so deeply that it could not be stored or sent: serializers end at some 250."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                inner += [item for item in part.values() if isinstance(item, dict | list)]
            elif isinstance(part, list):
                inner += [item for item in part if isinstance(item, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def whole_characters(text: str) -> str:
    """Return the text with each pair of surrogates as its character; one that stands alone becomes `U+FFFD`.

    A server that writes JSON from half a character, as Node does at the edge of a chunk, sends such halves.
    """
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _inner(text: str) -> Any:
    try:
        value = json.loads(text) if text.strip() else None
    except ValueError:
        return text
    return text if isinstance(value, str) else value
