"""The quick form of conditions says of every value what the `jsonschema` library says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from lg_policy.rules.predicates import compiled
from tests.policy.rules.support_schemas import VALUES, schemas


@settings(max_examples=300, deadline=None)
@given(schema=schemas(), value=VALUES)
def test_the_quick_form_agrees_with_the_library(schema: Any, value: Any) -> None:
    quick = compiled(schema, re.compile)
    assert quick is not None
    assert quick(value) is Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"if": {}, "then": False},
        {"properties": {"a": {"multipleOf": 2}}},
        {"anyOf": [{"uniqueItems": True}]},
        {"$ref": "#/$defs/a", "$defs": {"a": False}},
        {"items": [{"type": "string"}]},  # one schema for each place, as older drafts have it
        {"additionalProperties": {"propertyNames": {"const": "a"}}},
    ],
)
def test_what_the_quick_form_does_not_know_is_left_to_the_library(schema: Any) -> None:
    assert compiled(schema, re.compile) is None
