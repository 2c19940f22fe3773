"""Arguments checked against a tool's input schema before the call leaves.

Covers shape, types and ranges as the schema states them. Does not cover `format` (which no schema has to mean) or
patterns that RE2 cannot run; the server still checks those itself. Schemas come from upstream servers and are not
trusted: nothing they refer to is fetched, and their patterns run in linear time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from lg_policy.conditions import linear
from lg_policy.errors import ConfigError, InvalidArguments

log = logging.getLogger(__name__)

MAX_NAMES = 12


class ArgumentCheck:
    """A compiled schema, made on first use. A schema that is itself wrong checks nothing, and the log says so once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._validator: Any = None
        self._usable = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArgumentCheck) and other._schema == self._schema

    def __hash__(self) -> int:
        return id(self)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise `InvalidArguments` that says what is wrong and what would fit."""
        validator = self._compiled()
        if validator is None:
            return
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            if validator.is_valid(arguments):
                return
            error = best_match(validator.iter_errors(arguments))
        except (Unresolvable, RecursionError) as error_in_schema:
            self._give_up(error_in_schema)
            return
        if error is not None:
            raise InvalidArguments(_sentence(error), hint=self._names())

    def _compiled(self) -> Any:
        if self._validator is None and self._usable:
            from jsonschema.exceptions import SchemaError

            try:
                kind = _validator_class(str(self._schema.get("$schema", "")))
                kind.check_schema(dict(self._schema))
                self._validator = kind(dict(self._schema), registry=_no_fetching())
            except (SchemaError, RecursionError) as error:
                self._give_up(error)
        return self._validator if self._usable else None

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        log.warning("an input schema cannot be used to check arguments: %s", str(error).splitlines()[0][:200])

    def _names(self) -> str:
        properties = self._schema.get("properties")
        if not isinstance(properties, Mapping):
            return ""
        required = [str(name) for name in self._schema.get("required", ()) if isinstance(name, str)]
        names = [f"{name}{'' if name in required else '?'}" for name in list(properties)[:MAX_NAMES]]
        return "arguments: " + ", ".join(names) if names else "this tool takes no arguments"


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    what = str(error.message)
    if len(what) > 300:
        what = f"{what[:150]} … {what[-120:]}"
    return f"{where}: {what}" if where else what


@cache
def _no_fetching() -> Any:
    from referencing import Registry

    return Registry()


@cache
def _validator_class(declared: str) -> Any:
    """The validator of the declared draft, patterns on RE2. The default is 2020-12, as MCP says."""
    import jsonschema

    base = jsonschema.validators.validator_for({"$schema": declared}, default=jsonschema.Draft202012Validator)
    extend: Any = jsonschema.validators.extend
    return extend(base, {"pattern": _pattern, "patternProperties": _pattern_properties})


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    compiled = _re2(pattern)
    if isinstance(instance, str) and compiled is not None and not compiled.search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any) -> Iterator[Any]:
    if not isinstance(instance, Mapping):
        return
    for pattern, subschema in patterns.items():
        compiled = _re2(pattern)
        for name, value in instance.items():
            if compiled is not None and compiled.search(name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


@cache
def _re2(pattern: str) -> Any:
    """A pattern on RE2, `None` when it uses what RE2 leaves out on purpose (look-around, back-references)."""
    try:
        return linear(pattern)
    except ConfigError:
        log.info("a pattern in an input schema is left to the server: %r", pattern[:100])
        return None
