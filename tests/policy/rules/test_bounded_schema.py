"""Schemas of strangers mean what the library says, take linear time, and end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from lg_policy.rules.bounded_schema import TooMuchWork, at_most, no_fetching, validator_for
from lg_policy.rules.conditions import linear
from tests.policy.rules.support_schemas import VALUES, schemas


def fits(schema: dict[str, Any], value: Any) -> bool:
    return bool(validator_for(schema, linear)(schema, registry=no_fetching()).is_valid(value))


@settings(max_examples=150, deadline=None)
@given(schema=schemas(), value=VALUES)
def test_it_says_of_every_value_what_the_library_says(schema: Any, value: Any) -> None:
    assert fits({"allOf": [schema]}, value) == Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"uniqueItems": True}, [1, True, "1", {"a": 1}, {"a": True}], [{"a": [1.0]}, {"a": [1]}]),
        ({"uniqueItems": True}, [0, False, []], ["x", "x"]),
        ({"uniqueItems": True}, "xx", [None, None]),
        ({"uniqueItems": False, "maxItems": 2}, ["x", "x"], ["x", "x", "x"]),
        ({"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False}, {"ab": 1}, {"b": 1}),
        ({"patternProperties": {"^a": {"type": "integer"}}, "additionalProperties": False}, {}, {"a": "1"}),
        ({"patternProperties": {"^a": {"type": "integer"}}}, {"ab": 1, "b": "x"}, {"ab": "x"}),
        ({"additionalProperties": {"type": "integer"}, "properties": {"a": {}}}, {"a": "x", "b": 1}, {"b": "x"}),
        ({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}, [1, "x"], ["x"]),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}}}, {"a": 1}, {"a": 2}),
        ({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "maxProperties": 1}}, "$ref": "#/$defs/n"},
         {"n": {"n": {}}}, {"n": {"n": {"a": 1, "b": 2}}}),
    ],
)  # fmt: skip
def test_what_is_replaced_keeps_its_meaning(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert fits(schema, good)
    assert not fits(schema, bad)


def test_a_pattern_that_cannot_be_run_says_nothing() -> None:
    assert fits({"pattern": r"(?=a)b"}, "c")
    names = {"patternProperties": {r"(?=a)b": {"type": "integer"}}, "additionalProperties": False}
    assert fits(names, {"c": "x"})


@pytest.mark.parametrize("inner", [lambda names: names, lambda names: {"allOf": [names]}], ids=["beside", "inside"])
def test_what_the_library_would_decide_by_running_patterns_itself_is_left_out(inner: Any) -> None:
    names: dict[str, Any] = {"patternProperties": {"^(a+)+$": {}}}
    assert fits({**inner(names), "unevaluatedProperties": False}, {"a" * 40 + "b": 1})
    assert not fits({"unevaluatedProperties": False}, {"b": 1})


def test_work_is_counted_in_all_of_a_check_and_only_where_it_is_limited() -> None:
    schema = {"items": {"type": "integer"}}
    assert fits(schema, list(range(1_000)))
    with at_most(2_000):
        assert fits(schema, list(range(1_000)))
    with at_most(500), pytest.raises(TooMuchWork):
        fits(schema, list(range(1_000)))
    with at_most(500), pytest.raises(TooMuchWork):
        fits({"allOf": [{"pattern": "a$"}] * 100}, "a" * 10_000)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"patternProperties": {f"a{number}b": {} for number in range(500)}},
            {f"x{number}": 1 for number in range(5_000)},
        ),
        (
            {"patternProperties": {f"a{number}b": {} for number in range(500)}, "additionalProperties": False},
            {f"x{number}": 1 for number in range(5_000)},
        ),
        (
            {"$defs": {f"d{number}": {"$anchor": f"a{number}"} for number in range(1_000)}, "items": {"$ref": "#a999"}},
            [1] * 5_000,
        ),
        ({"propertyNames": {"pattern": "a*$"}}, {f"x{number}a": 1 for number in range(100_000)}),
    ],
    ids=["patterns and names", "names that no pattern covers", "references by name", "patterns of names"],
)
def test_work_that_grows_with_schema_times_value_is_counted(schema: dict[str, Any], value: Any) -> None:
    with at_most(100_000), pytest.raises(TooMuchWork):
        fits(schema, value)


def test_a_reference_by_name_still_means_what_it_names() -> None:
    schema = {"$defs": {"n": {"$anchor": "n", "type": "integer"}}, "items": {"$ref": "#n"}}
    assert fits(schema, [1, 2])
    assert not fits(schema, ["x"])


def test_a_check_that_is_deeper_than_the_stack_ends_with_one_error_wherever_the_stack_ends() -> None:
    endless = {
        "$defs": {
            "one": {"type": ["object", "null"], "not": {"type": ["string"]}, "$ref": "#/$defs/two"},
            "two": {"$ref": "#/$defs/one", "type": ["object"]},
        },
        "$ref": "#/$defs/one",
    }

    def checked(deeper: int) -> bool:
        if deeper:
            return checked(deeper - 1)
        with at_most(5_000):
            return fits(endless, {"a": {}})

    for deeper in range(20):
        with pytest.raises(RecursionError):
            checked(deeper)
