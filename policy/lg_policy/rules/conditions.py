"""JSON Schema as a condition over a call's arguments, with patterns on RE2.

Source: JSON Schema 2020-12, evaluated by the `jsonschema` library; its patterns are replaced (`bounded_schema`),
because Python's own engine can be driven into exponential time by a caller's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lg_policy.errors import ConfigError
from lg_policy.paths.path_forms import spelled
from lg_policy.rules.bounded_schema import no_fetching, validator_for
from lg_policy.rules.predicates import compiled
from lg_policy.rules.reach import meant_type, never

PATH_FORMAT = "lg-path"
"""JSON Schema `format` by which our servers mark path arguments."""


class Condition:
    """A compiled `when`. With `require`, the arguments must have every property that it names.

    Raises `ConfigError` naming `where` for an invalid schema or a pattern that RE2 cannot run.
    """

    def __init__(self, schema: Mapping[str, Any] | bool, *, where: str, require: bool) -> None:
        self.always = schema is True or schema == {}
        self._schema = _requiring(schema) if require and isinstance(schema, Mapping) else schema
        self.holds: Callable[[Any], bool] = _anything
        """Returns whether arguments, a `dict`, satisfy the condition."""
        if not self.always:
            _check(self._schema, where)
            self.holds = compiled(self._schema, _compiled) or self._validator().is_valid

    def can_never_match(self, input_schema: Mapping[str, Any] | None) -> str | None:
        """Say why no valid call can satisfy this condition, or return `None` if that is not certain."""
        if input_schema is None or not isinstance(self._schema, Mapping):
            return None
        try:
            return never(self._schema, input_schema, _compiled)
        except (TypeError, ValueError, AttributeError, RecursionError):
            return None  # the server sent something that is no schema

    def unmet(self, arguments: Mapping[str, Any]) -> str:
        """Say which part of the arguments does not satisfy the condition; empty if all do."""
        if self.always:
            return ""
        error = next(iter(self._validator().iter_errors(dict(arguments))), None)
        if error is None:
            return ""
        where = ".".join(str(part) for part in error.absolute_path)
        return f"{where}: {error.message}" if where else str(error.message)

    def _validator(self) -> Any:
        schema = self._schema if isinstance(self._schema, Mapping) else {}
        return validator_for(schema, linear)(self._schema, registry=no_fetching())


def _anything(_arguments: Any) -> bool:
    return True


def marks_paths(schema: Any) -> bool:
    """Return whether an input schema marks any argument as a path, at any depth that `normalised_paths` checks."""
    if not isinstance(schema, Mapping):
        return False
    properties = schema.get("properties")
    inner = list(properties.values()) if isinstance(properties, Mapping) else []
    return schema.get("format") == PATH_FORMAT or any(map(marks_paths, [*inner, schema.get("items")]))


@dataclass(frozen=True)
class Forms:
    """The same arguments with path-marked strings in plain form, and with their links followed."""

    plain: Mapping[str, Any]
    resolved: Mapping[str, Any]


def normalised_paths(
    input_schema: Mapping[str, Any] | None, arguments: Mapping[str, Any], root: str | None = None
) -> Forms | None:
    """Return the arguments with path-marked strings in canonical form; `None` if one of them contains `..`.

    Properties and array items are marked if their schema has `format: lg-path`. `root` as for `spelled`.
    """
    found = [_form(input_schema or {}, arguments, root, resolve) for resolve in (False, True)]
    return None if any(form is _UP for form in found) else Forms(*found)


_UP: Any = object()


def _form(schema: Mapping[str, Any], value: Any, root: str | None, resolve: bool) -> Any:
    """Return one form of a value; `_UP` if a path in it contains `..`."""
    if schema.get("format") == PATH_FORMAT and isinstance(value, str):
        form = spelled(value, root)
        return _UP if form is None else form.resolved if resolve else form.plain
    items = schema.get("items")
    if isinstance(items, Mapping) and isinstance(value, list):
        listed = [_form(items, item, root, resolve) for item in value]
        return _UP if any(item is _UP for item in listed) else listed
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and isinstance(value, Mapping):
        named = {name: _form(_mapping(properties.get(name)), item, root, resolve) for name, item in value.items()}
        return _UP if any(item is _UP for item in named.values()) else named
    return value


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _requiring(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Close what JSON Schema leaves open: `{"properties": {"cmd": {"pattern": …}}}` accepts a call without `cmd`, and
    one where `cmd` is no string. Every named property becomes required, every test implies the type it looks at.
    """
    result = dict(schema)
    meant = meant_type(schema)
    if meant is not None:
        result["type"] = meant
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        result["properties"] = {
            name: _requiring(inner) if isinstance(inner, Mapping) else inner for name, inner in properties.items()
        }
        result["required"] = sorted({*schema.get("required", []), *properties})
        result.setdefault("type", "object")
    for keyword in ("allOf", "anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            result[keyword] = [_requiring(inner) if isinstance(inner, Mapping) else inner for inner in schema[keyword]]
    for keyword in ("items", "contains"):
        if isinstance(schema.get(keyword), Mapping):
            result[keyword] = _requiring(schema[keyword])
    return result


def _check(schema: Any, where: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"{where}: when is not a valid JSON Schema: {error.message}") from error
    for pattern in _patterns(schema):
        _compiled(pattern, where)


_VALUES = frozenset(("const", "enum", "default", "examples"))
"""Keywords that hold values and no schemas."""
_BY_NAME = frozenset(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"))
"""Keywords that hold schemas by any names."""


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for inner in schema:
            yield from _patterns(inner)
    if not isinstance(schema, Mapping):
        return
    for keyword, value in schema.items():
        if keyword == "pattern" and isinstance(value, str):
            yield value
        if keyword == "patternProperties" and isinstance(value, Mapping):
            yield from value
        if keyword in _BY_NAME and isinstance(value, Mapping):
            yield from _patterns(list(value.values()))
        elif keyword not in _VALUES:
            yield from _patterns(value)


class _Pattern:
    """A pattern on RE2 that accepts any text: half a character (a lone surrogate) counts as U+FFFD."""

    def __init__(self, expression: Any) -> None:
        self._expression = expression

    def search(self, text: str) -> Any:
        try:
            return self._expression.search(text)
        except UnicodeEncodeError:
            return self._expression.search(_whole(text))

    def fullmatch(self, text: str) -> Any:
        try:
            return self._expression.fullmatch(text)
        except UnicodeEncodeError:
            return self._expression.fullmatch(_whole(text))


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def linear(pattern: str) -> Any:
    """Compile a pattern with RE2, which takes linear time. Raises `ConfigError` if RE2 cannot run it."""
    return _compiled(pattern)


@cache
def _compiled(pattern: str, where: str = "a rule") -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return _Pattern(re2.compile(pattern, options))
    except re2.error as error:
        raise ConfigError(f"{where}: pattern {pattern!r} does not run on RE2: {error}") from error
