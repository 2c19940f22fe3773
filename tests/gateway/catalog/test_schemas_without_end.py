"""A stranger's schema that refers to itself without end costs its own check, and never the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from lg_gateway.catalog.schema_check import SchemaCheck, UnusableSchema

T = TypeVar("T")
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
ENDLESS: dict[str, dict[str, Any]] = {
    "a negation of itself": {"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}, **DRAFT_7},
    "two parts of each other": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"if": {"$ref": "#/$defs/a"}, "then": {}}},
        **DRAFT_7,
    },
    "the whole": {"anyOf": [{"$ref": "#"}]},
}


def deeper(frames: int, function: Callable[[], T]) -> T:
    """Call a function from a stack that has some more frames."""
    return function() if frames == 0 else deeper(frames - 1, function)


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_schema_is_unusable_wherever_the_stack_ends(kind: str) -> None:
    for frames in range(12):  # the library's Rust code panics at some of these places only
        check = SchemaCheck(ENDLESS[kind])
        with pytest.raises(UnusableSchema):
            deeper(frames, lambda check=check: check.error_now({"a": {"a": 1}}))  # type: ignore[misc]  # default


@pytest.mark.parametrize("word", ["not", "items", "additionalProperties"])
@pytest.mark.parametrize("depth", [150, 900])
def test_a_schema_of_very_many_levels_is_unusable(word: str, depth: int) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {word: schema}
    with pytest.raises(UnusableSchema):
        SchemaCheck(schema).error_now({"a": 1})


def test_a_deep_value_is_checked_by_a_schema_of_itself() -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}}}
    value: dict[str, Any] = {"n": "wrong"}
    for _ in range(40):
        value = {"next": value}
    assert SchemaCheck(tree).error_now(value) is not None
