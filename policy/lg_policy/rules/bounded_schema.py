"""Validates untrusted schemas and values with `jsonschema`: patterns run in linear time, and work is limited.

Source: JSON Schema 2020-12 and older drafts, as the library reads them. Three of its parts are replaced: every
place where Python's own expressions would run, which a text can drive into exponential time; `uniqueItems`, which
compares all with all; and the switch to another, unguarded class where a part of a schema names its own draft.

Not covered: patterns that RE2 cannot run (look-around, back-references) are left out, and with them what depends on
them, as is `unevaluatedProperties` beside `patternProperties`; the memory that the values themselves take.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from lg_policy.errors import ConfigError

SEARCH_STEP = 0.2
"""Steps for one search of a text, however short the text is."""
TEXT_STEP = 1_000
"""Characters that a pattern may read in one step of work."""
NODE_STEP = 2
"""Parts of a schema that one step searches when a reference is resolved by name."""
LIST_STEP = 20
"""Entries of a schema's list or object that count as one more step."""


STACK_LEFT = 100
"""Frames of the interpreter's stack that checks leave free."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})


class TooMuchWork(Exception):
    """A check was stopped: its schema makes it take too long."""


class _Left:
    def __init__(self, steps: float) -> None:
        self.steps = steps


_left: ContextVar[_Left | None] = ContextVar("steps left", default=None)


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Limit all checks in the block to `steps` together, about ten microseconds each. They raise `TooMuchWork`.

    A check that goes deeper than Python's stack raises `RecursionError`, wherever the stack ends.
    """
    token = _left.set(_Left(steps))
    try:
        yield
    except BaseException as error:
        # The library's hash map is written in Rust. It panics where the stack ends while it compares keys, and a panic
        # is no `Exception`: it would end the program.
        if type(error).__name__ != "PanicException":
            raise
        raise RecursionError("the check goes deeper than the stack") from error
    finally:
        _left.reset(token)


def spend(steps: float) -> None:
    """Count work. Raises `TooMuchWork` beyond the limit of `at_most`."""
    left = _left.get()
    if left is not None:
        left.steps -= steps
        if left.steps < 0:
            raise TooMuchWork


def validator_for(schema: Mapping[str, Any], search: Callable[[str], Any]) -> Any:
    """Return the validator class for the draft that a schema declares: 2020-12 by default, as in MCP.

    `search` compiles a pattern to something with `search`, or raises `ConfigError` for one to leave out.
    """
    # Rounded up, so that few classes are made.
    size = 1 << (_size(schema) // NODE_STEP).bit_length()
    return _class_for(str(schema.get("$schema", "")), search, _names_by_pattern(schema), size)


@cache
def _class_for(declared: str, search: Callable[[str], Any], names_by_pattern: bool, anchor_steps: int) -> Any:
    import jsonschema

    base = jsonschema.validators.validator_for({"$schema": declared}, default=jsonschema.Draft202012Validator)
    own = _Keywords(search)
    replaced = {
        "pattern": own.pattern,
        "patternProperties": own.pattern_properties,
        "additionalProperties": own.additional_properties,
        "uniqueItems": _unique_items,
    }
    if names_by_pattern:
        replaced["unevaluatedProperties"] = _left_out  # the library runs those patterns itself here
    keywords = base.VALIDATORS | {name: made for name, made in replaced.items() if name in base.VALIDATORS}
    extend: Any = jsonschema.validators.extend
    counted = {
        name: _counted(keyword, anchor_steps if name in _REFERENCES else 0) for name, keyword in keywords.items()
    }
    made = extend(base, counted)
    made.evolve = _staying(made.evolve)
    return made


def no_fetching() -> Any:
    """Return an empty registry, so that nothing is fetched."""
    from referencing import Registry

    return Registry()


def _staying(evolve: Any) -> Any:
    """Check a part of a schema with the same class as the whole, whatever draft it names."""

    def stay(self: Any, **changes: Any) -> Any:
        new = evolve(self, **changes)
        if type(new) is type(self):
            return new
        given = {"format_checker": new.format_checker, "registry": new._registry, "_resolver": new._resolver}
        return type(self)(new.schema, **given)

    return stay


def _counted(keyword: Any, anchor_steps: int) -> Any:
    def count(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _refuse_without_end()
        spend(1 + (len(value) // LIST_STEP if isinstance(value, dict | list) else 0))
        if anchor_steps and isinstance(value, str) and not value.startswith("#/"):
            spend(anchor_steps)  # the library looks through all of the schema for a name, each time
        return keyword(validator, value, instance, schema)

    return count


def _refuse_without_end() -> None:
    """Raise `RecursionError` while there is room to do so.

    At the very end of the stack it may be raised inside the library's Rust code, which panics: no `except` expects
    that error, and it would end the program.
    """
    try:
        sys._getframe(sys.getrecursionlimit() - STACK_LEFT)
    except ValueError:
        return
    raise RecursionError("the schema refers to itself without end, or is nested too deeply")


class _Keywords:
    """The keywords that run patterns."""

    def __init__(self, search: Callable[[str], Any]) -> None:
        self._compile = search

    def _search(self, pattern: str) -> Callable[[str], bool] | None:
        """Return a function that tests a text; `None` for a pattern that cannot be run."""
        try:
            compiled = self._compile(pattern)
        except ConfigError:
            return None

        def found(text: str) -> bool:
            spend(SEARCH_STEP + len(text) / TEXT_STEP)
            return compiled.search(text) is not None

        return found

    def pattern(self, validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
        from jsonschema.exceptions import ValidationError

        found = self._search(pattern)
        if validator.is_type(instance, "string") and found is not None and not found(instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    def pattern_properties(
        self, validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
    ) -> Iterator[Any]:
        if not validator.is_type(instance, "object"):
            return
        for pattern, inner in patterns.items():
            found = self._search(pattern)
            for name, value in instance.items() if found is not None else ():
                if found is not None and found(name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)

    def additional_properties(self, validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
        from jsonschema.exceptions import ValidationError

        if not validator.is_type(instance, "object"):
            return
        tests = [self._search(pattern) for pattern in schema.get("patternProperties", {})]
        if None in tests:
            return  # it is unknown which names that pattern covers
        named = schema.get("properties", {})
        extra = [name for name in instance if name not in named and not any(found(name) for found in tests if found)]
        if isinstance(allowed, Mapping):
            for name in extra:
                yield from validator.descend(instance[name], allowed, path=name)
        elif allowed is False and extra:
            shown = ", ".join(repr(name) for name in sorted(extra)[:10])
            verb = "was" if len(extra) == 1 else "were"
            yield ValidationError(f"Additional properties are not allowed ({shown} {verb} unexpected)")


def _left_out(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> tuple[Any, ...]:
    return ()


def _size(schema: Any) -> int:
    """Count the parts of a schema."""
    if isinstance(schema, Mapping):
        return 1 + sum(map(_size, schema.values()))
    return 1 + sum(map(_size, schema)) if isinstance(schema, list) else 1


def _names_by_pattern(schema: Any) -> bool:
    """Return whether names are matched by patterns anywhere in a schema."""
    if isinstance(schema, Mapping):
        return "patternProperties" in schema or any(map(_names_by_pattern, schema.values()))
    return isinstance(schema, list) and any(map(_names_by_pattern, schema))


def _unique_items(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not wanted or not validator.is_type(instance, "array"):
        return
    seen: set[str] = set()
    for item in instance:
        text = json.dumps(_numbers(item), sort_keys=True)
        spend(SEARCH_STEP + len(text) / TEXT_STEP)
        if text in seen:
            yield ValidationError(f"{item!r} occurs more than once")
            return
        seen.add(text)


def _numbers(value: Any) -> Any:
    """Return a JSON value in which equal numbers look alike: 1 is 1.0, and neither is `true`."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(name): _numbers(item) for name, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value
