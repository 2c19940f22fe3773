"""Shows the form of a server's question to a person, and checks answers against it. Pure.

MCP's forms are flat: named fields of text, numbers, yes or no, and choices. Whatever the server wrote is quoted after
`|`, on one line a field, so that it cannot pass for words of ours.

Not covered: `pattern` and `format` are the server's to check; a hostile expression could keep this process busy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.text import one_line
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 300
_CHECKED = (
    "type", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")


def described(form: Mapping[str, Any]) -> list[str]:
    """Return one quoted line a field: name, what it takes, what the server says of it."""
    lines = []
    for name, field in _fields(form).items():
        words = [str(field[key]) for key in ("title", "description") if field.get(key)]
        takes = ", ".join(["required" if name in form.get("required", ()) else "may be left out", *_takes(field)])
        lines.append(one_line(f"| {name} ({takes})" + (": " + ": ".join(words) if words else ""), WIDTH))
    return lines


def check(form: Mapping[str, Any], content: object) -> dict[str, Any]:
    """Return an answer that fits the form. Raises `InvalidArguments` naming the field and what it takes."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    fields = _fields(form)
    if not isinstance(content, dict):
        raise InvalidArguments("the answer is not a JSON object", hint=_hint(form))
    unknown = sorted(set(content) - set(fields))
    if unknown:
        raise InvalidArguments(f"the form has no field {unknown[0]!r}", hint=_hint(form))
    missing = sorted(set(form.get("required", ())) - set(content))
    if missing:
        raise InvalidArguments(f"the field {missing[0]!r} is required", hint=_hint(form))
    for name, value in content.items():
        error = best_match(Draft202012Validator(_checkable(fields[name])).iter_errors(value))
        if error is not None:
            raise InvalidArguments(f"{name}: {one_line(error.message, WIDTH)}", hint=_hint(form))
    return dict(content)


def typed(field: Mapping[str, Any], text: str) -> object:
    """Read what a person typed for one field. Raises `InvalidArguments`."""
    if field.get("type") == "array":
        return [_chosen(field.get("items") or {}, part.strip()) for part in text.split(",") if part.strip()]
    return _chosen(field, text)


def _chosen(field: Mapping[str, Any], text: str) -> object:
    choices = [value for value, _words in choices_of(field)]
    if choices:
        by_number = text.isdecimal() and 1 <= int(text) <= len(choices) and text not in choices
        return choices[int(text) - 1] if by_number else text
    kind = field.get("type")
    if kind == "boolean":
        if text.lower() not in (*_YES, *_NO):
            raise InvalidArguments("answer yes or no")
        return text.lower() in _YES
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError as error:
            raise InvalidArguments(f"{text!r} is not {'an' if kind == 'integer' else 'a'} {kind}") from error
    return text


def choices_of(field: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Return the values that a field may have, each with the server's words for it; empty when it is free."""
    if field.get("type") == "array":
        return choices_of(field.get("items") or {})
    named = field.get("oneOf") or field.get("anyOf") or ()
    found = [(choice["const"], str(choice.get("title", choice["const"]))) for choice in named if "const" in choice]
    if found:
        return found
    values, names = list(field.get("enum") or ()), list(field.get("enumNames") or ())
    return [(value, str(names[at]) if at < len(names) else str(value)) for at, value in enumerate(values)]


def _fields(form: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return dict(form.get("properties") or {})


def _checkable(field: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a field's schema that is checked here."""
    kept: dict[str, Any] = {key: field[key] for key in _CHECKED if key in field}
    if field.get("type") == "array":
        return kept | {"items": _checkable(field.get("items") or {})}
    choices = [value for value, _words in choices_of(field)]
    return kept | ({"enum": choices} if choices else {})


def _takes(field: Mapping[str, Any]) -> list[str]:
    kind = {"array": "several", "boolean": "yes or no", "string": "text"}.get(str(field.get("type")), field.get("type"))
    parts = [str(kind or "text")]
    choices = choices_of(field)
    if choices:
        shown = (
            json.dumps(value, ensure_ascii=False) + (f" {words}" if words != value else "") for value, words in choices
        )
        parts = [*(["several"] if field.get("type") == "array" else []), "one of " + "; ".join(shown)]
    parts += [f"{key} {field[key]}" for key in ("minimum", "maximum", "minLength", "maxLength") if key in field]
    if "default" in field:
        parts.append(f"default {json.dumps(field['default'], ensure_ascii=False)}")
    return parts


def _hint(form: Mapping[str, Any]) -> str:
    return "its fields:\n" + "\n".join(described(form)) if _fields(form) else "its form has no fields: answer {}"
