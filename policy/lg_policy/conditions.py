"""JSON Schema as a condition over a call's arguments, with patterns on RE2.

Source: JSON Schema 2020-12, evaluated by the `jsonschema` library; `pattern` and `patternProperties` are replaced
because Python's own engine can be driven into exponential time by a caller's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from lg_policy.errors import ConfigError

PATH_FORMAT = "lg-path"
"""JSON Schema `format` by which our servers mark path arguments."""


class Condition:
    """A compiled `when`. With `require`, every property that it names must be present in the arguments.

    Raises `ConfigError` naming `where` for an invalid schema or a pattern that RE2 cannot run.
    """

    def __init__(self, schema: Mapping[str, Any] | bool, *, where: str, require: bool) -> None:
        self.always = schema is True or schema == {}
        self._schema = _requiring(schema) if require and isinstance(schema, Mapping) else schema
        self._never: tuple[Mapping[str, Any], str | None] | None = None
        if self.always:
            self._validator = None
            return
        _check(self._schema, where)
        self._validator = _validator_class()(self._schema)

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the arguments satisfy the condition."""
        return self._validator is None or bool(self._validator.is_valid(dict(arguments)))

    def can_never_match(self, input_schema: Mapping[str, Any] | None) -> str | None:
        """Say why no valid call can satisfy this condition, or `None`. Finds names and constants that do not exist."""
        if input_schema is None or not isinstance(self._schema, Mapping):
            return None
        # The last schema asked about is kept, not its id alone: an id is given out again once its object is gone.
        if self._never is None or self._never[0] is not input_schema:
            self._never = (input_schema, _mismatch(self._schema, input_schema))
        return self._never[1]


def normalised_paths(input_schema: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the arguments with path-marked strings in canonical form; `None` if one of them contains `..`.

    Marked are properties, and items of arrays, whose schema has `format: lg-path`.
    """
    properties = (input_schema or {}).get("properties")
    if not isinstance(properties, Mapping):
        return arguments
    changed: dict[str, Any] = dict(arguments)
    for name, schema in properties.items():
        if name not in changed or not isinstance(schema, Mapping):
            continue
        ok, changed[name] = _normalise(schema, changed[name])
        if not ok:
            return None
    return changed


def _normalise(schema: Mapping[str, Any], value: Any) -> tuple[bool, Any]:
    if schema.get("format") == PATH_FORMAT and isinstance(value, str):
        parts = [part for part in value.split("/") if part not in ("", ".")]
        return ".." not in parts, ("/" if value.startswith("/") else "") + "/".join(parts)
    items = schema.get("items")
    if isinstance(items, Mapping) and isinstance(value, list):
        done = [_normalise(items, item) for item in value]
        return all(ok for ok, _ in done), [item for _, item in done]
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and isinstance(value, Mapping):
        result = {name: _normalise(properties.get(name) or {}, item) for name, item in value.items()}
        return all(ok for ok, _ in result.values()), {name: item for name, (_, item) in result.items()}
    return True, value


def _requiring(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Add every named property to `required`: `{"properties": {"cmd": …}}` alone would accept a call without `cmd`."""
    result = dict(schema)
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
    return result


def _mismatch(condition: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    wanted, known = condition.get("properties"), schema.get("properties")
    if not isinstance(wanted, Mapping) or not isinstance(known, Mapping):
        return None
    for name, inner in wanted.items():
        if name not in known:
            if schema.get("additionalProperties") is False or condition.get("required", []):
                return f"the tool has no argument {name!r}; it has {', '.join(sorted(known)) or 'none'}"
            continue
        allowed = known[name].get("enum") if isinstance(known[name], Mapping) else None
        if (
            isinstance(inner, Mapping)
            and isinstance(allowed, list)
            and "const" in inner
            and inner["const"] not in allowed
        ):
            return f"argument {name!r} is never {inner['const']!r}; it is one of {allowed}"
    return None


def _check(schema: Any, where: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"{where}: when is not a valid JSON Schema: {error.message}") from error
    for pattern in _patterns(schema):
        _compiled(pattern, where)


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        if isinstance(schema.get("patternProperties"), Mapping):
            yield from schema["patternProperties"]
        for inner in schema.values():
            yield from _patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _patterns(inner)


@cache
def _compiled(pattern: str, where: str = "a rule") -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigError(f"{where}: pattern {pattern!r} does not run on RE2: {error}") from error


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(validator: Any, expression: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "string") and not _compiled(expression).search(instance):
            yield ValidationError(f"{instance!r} does not match {expression!r}")

    def pattern_properties(
        validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
    ) -> Iterator[ValidationError]:
        if not validator.is_type(instance, "object"):
            return
        for expression, inner in patterns.items():
            for name, value in instance.items():
                if _compiled(expression).search(name):
                    yield from validator.descend(value, inner, path=name, schema_path=expression)

    return extend(  # type: ignore[no-untyped-call]  # the stubs leave `extend` untyped
        Draft202012Validator, {"pattern": pattern, "patternProperties": pattern_properties}
    )
