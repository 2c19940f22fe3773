"""A stranger's output schema without its patterns: it never refuses what the whole one takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from lg_gateway.catalog.output_schemas import without_patterns
from tests.policy.rules.support_schemas import VALUES, schemas


@settings(max_examples=200, deadline=None)
@given(schema=schemas(), value=VALUES)
def test_what_fits_a_schema_fits_it_without_its_patterns(schema: Any, value: Any) -> None:
    whole = {"properties": {"value": schema}, "required": ["value"]}
    plain = without_patterns(whole)
    assert '"pattern' not in json.dumps(plain)
    if Draft202012Validator(whole).is_valid({"value": value}):
        assert Draft202012Validator(plain).is_valid({"value": value}), plain


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"not": {"pattern": "a"}}, "b"),
        ({"oneOf": [{"pattern": "a"}, {"pattern": "b"}]}, "a"),
        ({"if": {"pattern": "a"}, "then": False}, "b"),
        ({"$defs": {"a": {"pattern": "a"}}, "not": {"$ref": "#/properties/value/$defs/a"}}, "b"),
        ({"patternProperties": {"a": {}}, "additionalProperties": False}, {"a": 1}),
        ({"contains": {"pattern": "a"}, "maxContains": 1}, ["a", "b"]),
    ],
)
def test_nothing_is_refused_because_a_test_is_gone(part: dict[str, Any], value: Any) -> None:
    whole = {"properties": {"value": part}}
    assert Draft202012Validator(whole).is_valid({"value": value})
    assert Draft202012Validator(without_patterns(whole)).is_valid({"value": value})


def test_data_and_names_that_look_like_keywords_stay() -> None:
    schema = {"properties": {"pattern": {"const": {"pattern": "x"}}}, "required": ["pattern"], "pattern": "gone"}
    assert without_patterns(schema) == {"properties": {"pattern": {"const": {"pattern": "x"}}}, "required": ["pattern"]}
