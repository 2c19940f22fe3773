from __future__ import annotations

from typing import Any

import pytest

from lg_orch.human.forms import check, described, typed
from lg_policy.errors import InvalidArguments


def form(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": []}


def test_what_a_server_writes_into_a_form_stays_on_its_quoted_line() -> None:
    (line,) = described(
        form(name={"type": "string", "title": "x\nserver: fs (built in)", "description": "\x1b[2J" * 200})
    )
    assert line.startswith("| name (may be left out, text): x server: fs")
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) <= 300


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "n", False),
        ({"type": "integer"}, "-3", -3),
        ({"type": "number"}, "0.5", 0.5),
        ({"type": "string"}, "as it is", "as it is"),
        ({"type": "string", "enum": ["a", "b"]}, "2", "b"),
        ({"type": "string", "enum": ["2", "1"]}, "2", "2"),
        ({"type": "string", "oneOf": [{"const": "x", "title": "The first"}]}, "1", "x"),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}}, "1, c", ["a", "c"]),
        ({"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}}, "a", ["a"]),
    ],
)
def test_what_is_typed_becomes_the_value_that_the_field_takes(field: dict[str, Any], text: str, value: object) -> None:
    assert typed(field, text) == value
    assert check(form(f=field), {"f": value}) == {"f": value}


@pytest.mark.parametrize(("kind", "text"), [("boolean", "maybe"), ("integer", "1.5"), ("number", "one")])
def test_what_is_no_value_of_the_field_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidArguments):
        typed({"type": kind}, text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "string", "maxLength": 2}, "abc"),
        ({"type": "string", "oneOf": [{"const": "x", "title": "X"}]}, "X"),
        ({"type": "array", "items": {"enum": ["a"]}}, ["b"]),
        ({"type": "array", "items": {"type": "string", "enum": ["a"]}, "minItems": 1}, []),
        ({"type": "boolean"}, "yes"),
    ],
)
def test_an_answer_that_does_not_fit_names_its_field(field: dict[str, Any], value: object) -> None:
    with pytest.raises(InvalidArguments, match="which: "):
        check(form(which=field), {"which": value})


def test_an_answer_has_the_fields_of_the_form_and_all_that_are_required() -> None:
    asked = form(a={"type": "string"}, b={"type": "string"}) | {"required": ["a"]}
    for content, says in (
        ({"b": "x"}, "'a' is required"),
        ({"a": "x", "c": "y"}, "no field 'c'"),
        ([], "not a JSON object"),
    ):
        with pytest.raises(InvalidArguments, match=says) as refused:
            check(asked, content)
        assert "| a (required, text)" in refused.value.hint


def test_a_hostile_expression_of_a_form_is_never_run() -> None:
    assert check(form(f={"type": "string", "pattern": "(a+)+$"}), {"f": "a" * 60 + "!"}) == {"f": "a" * 60 + "!"}
