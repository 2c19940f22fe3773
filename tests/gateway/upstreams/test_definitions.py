"""A tool whose definition means one thing is offered; one that means nothing is named and left out."""

from __future__ import annotations

from typing import Any

import pytest

from lg_gateway.catalog.listed_schemas import listed_input
from lg_gateway.upstreams.replies import Reply, read_call_result, read_tools

OBJECT = {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]}
NO_OBJECT: dict[str, Any] = {"type": "array", "items": {}}


def read(schema: Any) -> Reply:
    reply = Reply()
    good = {"name": "good", "inputSchema": {"type": "object"}}
    read_tools({"tools": [good, {"name": "other", "inputSchema": schema}]}, reply)
    return reply


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/K", "$defs": {"K": OBJECT}},
        {"$ref": "#/definitions/K", "definitions": {"K": {"$ref": "#/definitions/L"}, "L": OBJECT}},
        {"oneOf": [OBJECT, OBJECT]},
        {"anyOf": [{"$ref": "#/$defs/K"}, OBJECT], "$defs": {"K": OBJECT}},
        {"allOf": [OBJECT, {"required": ["k"]}]},
    ],
)
def test_a_schema_that_is_an_objects_by_reference_or_alternatives_is_offered(schema: dict[str, Any]) -> None:
    reply = read(schema)
    assert [tool.name for tool in reply.tools or ()] == ["good", "other"]
    assert reply.left_out == {}
    listed = listed_input((reply.tools or [])[1].input_schema).schema
    assert listed["type"] == "object"
    assert listed["properties"]["k"] == {"type": "string"}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/K", "$defs": {"K": NO_OBJECT}},
        {"$ref": "#/$defs/K"},
        {"$ref": "#"},
        {"$ref": "https://example.com/schema.json"},
        {"oneOf": [OBJECT, NO_OBJECT]},
        {"anyOf": [OBJECT] * 10_000},
        {"anyOf": []},
        {"$defs": {"K": OBJECT}},
        {"type": ["object", "null"]},
        {},
    ],
)
def test_a_schema_that_may_be_something_else_costs_its_tool_alone(schema: dict[str, Any]) -> None:
    reply = read(schema)
    assert [tool.name for tool in reply.tools or ()] == ["good"]
    assert "inputSchema" in reply.left_out["other"]


@pytest.mark.parametrize(
    ("part", "listed"),
    [
        ({"enum": ["a", "b"]}, {"enum": ["a", "b"], "type": "string"}),
        ({"enum": [1, 2]}, {"enum": [1, 2], "type": "integer"}),
        ({"enum": ["a", None]}, {"enum": ["a"], "type": "string"}),
        ({"enum": ["a", 1, None]}, {}),
        ({"enum": [{"x": 1}]}, {}),
        ({"const": "x"}, {"const": "x", "type": "string"}),
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
    ],
)
def test_listed_values_have_a_type(part: dict[str, Any], listed: dict[str, Any]) -> None:
    made = listed_input({"type": "object", "properties": {"k": part}}).schema
    assert made["properties"]["k"] == listed


def test_the_result_of_the_first_revision_of_the_protocol_is_delivered() -> None:
    assert read_call_result({"toolResult": "words"}).content[0].model_dump()["text"] == "words"
    assert read_call_result({"toolResult": {"a": 1}}).content[0].model_dump()["text"] == '{"a": 1}'
