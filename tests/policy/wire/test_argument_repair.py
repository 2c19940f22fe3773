"""What models send by habit is taken where its meaning is certain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lg_policy.wire.argument_repair import MAX_PARTS, Repair, arguments_from_text, as_meant, listed_problems

LIST = {"type": "array", "items": {"type": "string"}}
PAIR = {"type": "object", "properties": {"a": {"type": "integer"}, "b": LIST}, "required": ["a"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "line": {"type": "integer"},
        "paths": LIST,
        "either": {"anyOf": [{"type": "string"}, LIST]},
        "pair": PAIR,
        "pairs": {"type": "array", "items": PAIR},
        "maybe": {"type": ["string", "null"]},
        "kind": {"enum": ["x", None]},
        "open": {},
    },
    "required": ["path"],
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(['["a"]', '{"a": 1}', "[", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "path", "pair"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ({"path": "a", "line": None, "paths": None}, {"path": "a"}),
        ({"path": None}, {"path": None}),
        (
            {"path": "a", "maybe": None, "kind": None, "open": None},
            {"path": "a", "maybe": None, "kind": None, "open": None},
        ),
        ({"path": "a", "unknown": None}, {"path": "a", "unknown": None}),
        ({"path": "a", "paths": '["x", "y"]'}, {"path": "a", "paths": ["x", "y"]}),
        ({"path": "a", "line": "5.0"}, {"path": "a", "line": 5}),
        ({"path": "a", "line": "5.5"}, {"path": "a", "line": "5.5"}),
        ({"path": "a", "line": "1e300"}, {"path": "a", "line": "1e300"}),
        ({"path": '["x"]'}, {"path": '["x"]'}),
        ({"path": "a", "either": '["x"]'}, {"path": "a", "either": '["x"]'}),
        ({"path": "a", "paths": '{"x": 1}'}, {"path": "a", "paths": '{"x": 1}'}),
        ({"path": "a", "paths": "x"}, {"path": "a", "paths": ["x"]}),
        ({"path": "a", "paths": "x y"}, {"path": "a", "paths": "x y"}),
        ({"path": "a", "paths": "x,y"}, {"path": "a", "paths": "x,y"}),
        ({"path": "a", "paths": ""}, {"path": "a", "paths": ""}),
        ({"path": ["a"]}, {"path": "a"}),
        ({"path": ["a", "b"]}, {"path": ["a", "b"]}),
        ({"path": [1]}, {"path": [1]}),
        ({"path": "a", "pairs": {"a": 1}}, {"path": "a", "pairs": [{"a": 1}]}),
        ({"path": "a", "pair": [{"a": 1}]}, {"path": "a", "pair": [{"a": 1}]}),
        ({"path": "a", "either": ["x"]}, {"path": "a", "either": ["x"]}),
        ({"path": "a", "pair": '{"a": 1, "b": null}'}, {"path": "a", "pair": {"a": 1}}),
        (
            {"path": "a", "pairs": ['{"a": 1}', {"a": 2, "b": '["z"]'}]},
            {"path": "a", "pairs": [{"a": 1}, {"a": 2, "b": ["z"]}]},
        ),
        ({"path": "a", "paths": "[" * 100_000}, {"path": "a", "paths": "[" * 100_000}),
    ],
)
def test_null_and_json_text_are_taken_where_the_schema_leaves_one_meaning(given_: Any, meant: Any) -> None:
    assert as_meant(SCHEMA, given_) == meant


HABITS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"}, "maybe": {"type": ["string", "null"]}, "many": {"type": "array"},
        "count": {"type": "integer"}, "flag": {"anyOf": [{"type": "boolean"}]}, "deep": {"$ref": "#/$defs/Deep"},
        "both": {"anyOf": [{"type": "string"}, {"type": "array"}]}, "any": {}, "needed": {"type": "string"},
        "model": {"anyOf": [{"$ref": "#/$defs/Deep"}, {"type": "null"}]}, "ratio": {"type": "number"},
        "level": {"enum": [1, 2]}, "choice": {"enum": ["1", 2]},
    },
    "required": ["needed"],
    "$defs": {"Deep": {"type": "object", "properties": {"inner": {"type": "array", "items": {"type": "object"}}}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ({"text": None, "many": None, "count": None, "deep": None, "flag": None}, {}),
        ({"maybe": None, "any": None, "needed": None, "unknown": None}, None),
        ({"many": '["a", 1]'}, {"many": ["a", 1]}),
        ({"deep": '{"inner": null}'}, {"deep": {}}),
        ({"deep": {"inner": ['{"x": 1}']}}, {"deep": {"inner": [{"x": 1}]}}),
        ({"count": "5", "flag": "true"}, {"count": 5, "flag": True}),
        ({"both": '["a"]', "text": '["a"]', "any": "[1]"}, None),
        ({"many": "not json", "count": "five", "flag": '"yes"', "deep": "[1]"}, None),
        ({"many": "[" * 100_000}, None),
        ({"count": None, "model": None}, {"model": None}),
        ({"model": '{"inner": null}'}, {"model": {"inner": None}}),
        ({"ratio": "2", "level": "2", "choice": "2"}, {"ratio": 2, "level": 2, "choice": "2"}),
        ({"ratio": "1e999", "count": "NaN", "many": "[1e999]"}, None),
        ({"many": '["\\ud800"]', "level": "9" * 5000}, None),
    ],
)
def test_what_models_send_by_habit_is_taken_where_the_schema_leaves_no_doubt(sent: Any, taken: Any) -> None:
    assert as_meant(HABITS, sent) == (sent if taken is None else taken)


@pytest.mark.parametrize("schema", [SCHEMA, HABITS])
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], *HABITS["properties"], "z"]), VALUES, max_size=5))
def test_any_arguments_are_read_and_read_again_as_the_same(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    before = json.dumps(arguments)
    meant = as_meant(schema, arguments)
    assert as_meant(schema, meant) == meant
    assert json.dumps(arguments) == before
    path = arguments.get("path")
    assert meant.get("path") in (path, path[0] if isinstance(path, list) and len(path) == 1 else path)


@given(
    st.dictionaries(
        st.sampled_from(["type", "anyOf", "oneOf", "enum", "const", "items", "properties", "required"]), VALUES
    )
)
def test_a_strangers_schema_of_any_form_is_read(schema: dict[str, Any]) -> None:
    as_meant(schema, {"a": None, "path": "[1]", "pair": {"b": None}})
    as_meant({"properties": {"a": schema}}, {"a": "[1]"})
    listed_problems(schema)


def test_a_schema_that_nests_without_end_is_left_at_some_depth() -> None:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    value: Any = []
    for _ in range(50):
        value = [value]
    assert as_meant({"properties": {"a": schema}}, {"a": value}) == {"a": value}


def test_arguments_as_text_are_an_object_or_nothing() -> None:
    assert arguments_from_text(' {"a": 1}') == {"a": 1}
    assert arguments_from_text("[1]") is None
    assert arguments_from_text("a") is None


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("", {}),
        ("null", {}),
        (" \n", {}),
        ('[{"a": 1}]', {"a": 1}),
        ("[]", None),
        ('[{"a": 1}, {}]', None),
        ("[1]", None),
    ],
)
def test_an_empty_text_means_no_arguments_and_a_list_its_only_object(sent: str, meant: Any) -> None:
    assert arguments_from_text(sent) == meant


def test_what_the_strictest_clients_refuse_in_a_schema_is_named() -> None:
    assert listed_problems(SCHEMA) == []
    assert listed_problems({"type": "object", "oneOf": []}) == ["the schema has oneOf at its top"]
    assert listed_problems({"type": "array"}) == ["the schema is not of type object"]
    nested = {"type": "object", "properties": {"a": {"items": {"$ref": "#/$defs/K"}}}, "$defs": {"K": {}}}
    assert len(listed_problems(nested)) == 2
    assert listed_problems({"type": "object", "default": {"$ref": "text"}}) == []


def test_what_was_looked_at_for_one_call_does_not_count_against_the_next() -> None:
    part = {"anyOf": [{"type": "integer"}] * (MAX_PARTS - 1_000)}
    repair = Repair({"properties": {"a": part, "b": dict(part)}})
    assert repair.meant({"a": "1"}) == {"a": 1}
    assert repair.meant({"b": "2"}) == {"b": 2}
    assert Repair({"properties": {"a": part, "b": dict(part)}}).meant({"a": "1", "b": "2"}) == {"a": 1, "b": "2"}
