"""Reads the arguments of a tool call, and makes whole characters of what came in halves. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lg_orch.llm.wire.loose_json import BreaksOff, loose_value, strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 100
"""Levels of a call's arguments."""
_FENCE = re.compile(r"```(?:json)?\s*\n(?P<inner>.*)```", re.DOTALL)
_TAG = re.compile(r"<(?P<name>\w{1,20})>(?P<inner>.*)</(?P=name)>", re.DOTALL)
_AFTER = re.compile(r"\}{1,3}|(?:</\w{1,20}>|<\|\w{1,40}\|>|```|\s)+")
"""What may follow an object: a brace too many, or a mark that a server should have taken off."""
_WRAPPERS = ("arguments", "parameters", "params", "args", "kwargs", "input", "tool_input")
_BLANK = " \t\r\n\u00a0\u200b\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")


def arguments_object(text: str) -> dict[str, Any]:
    """Return a call's arguments. Raises `ValueError` where they are no JSON object, saying what they are.

    What certainly means one is taken: nothing or null for no arguments, JSON in a JSON string, an object alone in a
    list, JSON in a Markdown fence or a tag, JSON as `loose_json` reads it, the same object twice.
    """
    text = text.strip(_BLANK)
    if not text:
        return {}
    try:
        value = _value(text)
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


def without_wrapper(arguments: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in `{"arguments": {…}}`, for a tool that has no such argument."""
    known = schema.get("properties")
    if len(arguments) != 1 or not isinstance(known, dict) or not known:
        return arguments
    ((name, inner),) = arguments.items()
    if name in known or name not in _WRAPPERS:
        return arguments
    if isinstance(inner, str):
        try:
            inner = arguments_object(inner)
        except ValueError:
            return arguments
    return inner if isinstance(inner, dict) and inner.keys() <= known.keys() else arguments


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


def _value(text: str) -> Any:
    try:
        value = strict_json(text)
    except ValueError:
        wrapped = _FENCE.fullmatch(text) or _TAG.fullmatch(text)
        return _loose(wrapped["inner"].strip(_BLANK) if wrapped is not None else text)
    return _inner(value) if isinstance(value, str) else value


def _loose(text: str) -> Any:
    """The only object of a text that is not quite JSON."""
    if text.startswith("{{") and text.endswith("}}"):
        text = text[1:-1]  # as in a template
    try:
        value, end = loose_value(text)
    except BreaksOff as error:
        raise ValueError(f"they break off: {error}") from error
    rest = text[end:].strip(_BLANK)
    if not rest or _AFTER.fullmatch(rest):
        return value
    try:
        again, end_again = loose_value(rest)
    except ValueError as error:
        raise ValueError(f"there is more after the object: {rest[:80]!r}") from error
    if rest[end_again:].strip(_BLANK) or (value and value != again):
        raise ValueError("they are more than one object: make one call for each")
    return again


def _inner(text: str) -> Any:
    try:
        value = strict_json(text) if text.strip() else None
    except ValueError:
        return text
    return text if isinstance(value, str) else value
