"""What `tools/list` shows of schemas: in the profile, and never narrower than what the server declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from lg_gateway.catalog.listed_schemas import LISTED_CHARACTERS, listed_input, listed_output, problems
from lg_gateway.catalog.names import public_name
from lg_gateway.serving.meta_tools import TOOLS
from lg_policy.rules.bounded_schema import at_most
from tests.gateway.misbehaving import misbehaving
from tests.gateway.rig import ALLOW_ALL, call, client_of, gateway_of, server, text_of, write_config
from tests.policy.rules.support_schemas import NAMES, VALUES, schemas

EITHER = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
KEY = {"type": "string", "description": "a key"}
TREE = {
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/Node"}},
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"name": {"$ref": "#/$defs/Key"}, "left": {"$ref": "#/$defs/Node"}},
        },
        "Key": KEY,
    },
}
HOSTILE: dict[str, dict[str, Any]] = {
    "either": EITHER,
    "one of": {"type": "object", "oneOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, EITHER]},
    "all of": {"type": "object", "allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": EITHER}},
    "not": {"type": "object", "not": {"required": ["x"]}, "if": {}, "then": False},
    "reference": {"type": "object", "properties": {"k": {"$ref": "#/$defs/K"}}, "$defs": {"K": KEY}},
    "tree": TREE,
    "itself": {"type": "object", "properties": {"again": {"$ref": "#"}}},
    "elsewhere": {"type": "object", "properties": {"x": {"$ref": "https://example.org/schema.json"}}},
    "nowhere": {"type": "object", "properties": {"x": {"$ref": "#/$defs/nothing"}, "y": {"$ref": "#anchor"}}},
    "doubling": {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/d0"}},
        "$defs": {
            f"d{n}": {"properties": {s: {"$ref": f"#/$defs/d{n + 1}"} for s in "ab"}, "description": "x" * 900}
            for n in range(30)
        },
    },
    "deep": {"type": "object", "properties": {"x": json.loads('{"items":' * 90 + "{}" + "}" * 90)}},
    "old draft": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "urn:x",
        "type": "object",
        "properties": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "required": True}},
        "definitions": {"K": KEY},
    },
    "tuples": {"type": "object", "properties": {"t": {"type": "array", "items": [{"type": "string"}]}}},
    "bare": {"type": "object"},
    "odd": {
        "type": "object",
        "properties": {
            "any": True,
            "never": False,
            "list": {"type": "array"},
            "kinds": {"type": ["string", "array", "null"]},
            "wrong": {"type": "any", "enum": [], "minLength": "3", "description": 5, "pattern": "(?=x)"},
        },
        "required": ["any", "missing", 3],
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    },
    "names": {"type": "object", "properties": {"filter[name]": KEY, "$top": {"type": "integer"}, "x" * 90: {}}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_foreign_schema_is_listed_in_the_profile(name: str) -> None:
    made = listed_input(HOSTILE[name]).schema

    assert problems(made) == []
    assert len(json.dumps(made)) <= LISTED_CHARACTERS
    Draft202012Validator.check_schema(made)
    out = listed_output(HOSTILE[name], trusted=False)
    assert out is not None
    assert problems(out) == [] or name == "names"
    assert Draft202012Validator(out).is_valid({}), "what stands for a structured part that was left out"


def test_references_are_written_out_and_one_to_itself_only_once() -> None:
    tree = listed_input(TREE).schema["properties"]["tree"]

    assert tree["properties"]["name"] == KEY
    assert tree["properties"]["left"] == {"type": "object"}


def test_what_alternatives_name_is_offered_and_required_where_all_require_it() -> None:
    parts = [
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]},
        {"properties": {"a": {"type": "integer"}, "c": {}}, "required": ["a"]},
    ]
    made = listed_input({"type": "object", "oneOf": parts}).schema

    assert list(made["properties"]) == ["a", "b", "c"]
    assert made["properties"]["a"] == {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    assert made["required"] == ["a"]


@settings(max_examples=200, deadline=None)
@given(schema=schemas(), value=VALUES)
def test_what_fits_a_schema_fits_it_as_it_is_listed(schema: Any, value: Any) -> None:
    whole = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    if Draft202012Validator(whole).is_valid({"value": value}):
        made = listed_output(whole, trusted=False) or {}
        assert '"pattern' not in json.dumps(made)
        assert Draft202012Validator(made).is_valid({"value": value}), made


def wholes() -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas of whole arguments: combinators and references at the top, and in the parts of these."""
    part = st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, schemas(), max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), schemas()),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "d$"]), schemas(), max_size=1),
            "minProperties": st.integers(0, 2),
            "type": st.sampled_from(["object", ["object", "null"], "string"]),
            "$ref": st.sampled_from(["#/$defs/one", "#/$defs/two"]),
            "description": st.just("words"),
        },
    )
    several = st.lists(st.one_of(part, st.booleans()), min_size=1, max_size=3)
    combined = part.flatmap(
        lambda made: st.fixed_dictionaries(
            {key: st.just(value) for key, value in made.items()},
            optional={"anyOf": several, "oneOf": several, "allOf": several, "not": part, "if": part, "then": part},
        )
    )
    return st.builds(
        lambda top, one, two, draft: top | {"$defs": {"one": one, "two": two}} | draft,
        combined,
        combined,
        schemas(),
        st.sampled_from([{}, {}, {"$schema": "http://json-schema.org/draft-07/schema#"}]),
    )


ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=wholes(), arguments=ARGUMENTS, data=st.data())
def test_arguments_that_fit_a_whole_schema_fit_it_as_it_is_listed(
    schema: dict[str, Any], arguments: dict[str, Any], data: st.DataObject
) -> None:
    whole = _validator(schema)
    listed = listed_input(schema)
    for given_arguments in (arguments, *data.draw(st.lists(ARGUMENTS, max_size=8))):
        if not _is_valid(whole, given_arguments) or _has_null(given_arguments):
            continue  # null counts as left out, and a strict client is not offered it
        made = Draft202012Validator(listed.schema)
        assert made.is_valid(given_arguments), (given_arguments, listed.schema)
    assert problems(listed.schema) == []


def _validator(schema: dict[str, Any]) -> Any:
    return validator_for(schema, default=Draft202012Validator)(schema)


def _is_valid(whole: Any, arguments: dict[str, Any]) -> bool:
    try:
        with at_most(10**9):
            return bool(whole.is_valid(arguments))
    except RecursionError:  # a reference that leads to itself and nowhere else
        return False


def _has_null(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(_has_null(part) for part in inner)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"required": ["b"]}]}, {"a": 1, "b": 2}),
        ({"oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {}}}]}, {"a": 2}),
        ({"properties": {"a": {"type": ["string", "file"]}}}, {}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"K": {"type": "string"}},
          "properties": {"a": {"$ref": "#/definitions/K", "minLength": 5}}}, {"a": "x"}),
    ],
)  # fmt: skip
def test_what_an_alternative_or_an_old_draft_leaves_open_stays_open(schema: dict[str, Any], arguments: Any) -> None:
    assert Draft202012Validator(listed_input(schema).schema).is_valid(arguments)


def test_an_alternative_that_forbids_other_names_leaves_nothing_open() -> None:
    closed = [
        {"properties": {name: {"type": "string", "description": "d"}}, "additionalProperties": False} for name in "ab"
    ]
    assert listed_input({"type": "object", "oneOf": closed}).schema["properties"]["a"]["type"] == "string"
    opened = [{"properties": part["properties"]} for part in closed]
    made = listed_input({"type": "object", "oneOf": opened}).schema["properties"]["a"]
    assert made == {"description": "d", "anyOf": [{"type": "string", "description": "d"}, {}]}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"not": {"pattern": "a"}}, "b"),
        ({"oneOf": [{"pattern": "a"}, {"pattern": "b"}]}, "a"),
        ({"if": {"pattern": "a"}, "then": False}, "b"),
        ({"$defs": {"a": {"pattern": "a"}}, "not": {"$ref": "#/properties/value/$defs/a"}}, "b"),
        ({"patternProperties": {"a": {}}, "additionalProperties": False}, {"a": 1}),
        ({"contains": {"pattern": "a"}, "maxContains": 1}, ["a", "b"]),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1]),
        ({"type": ["string", "null"]}, None),
    ],
)
def test_nothing_is_refused_because_a_test_is_gone(part: dict[str, Any], value: Any) -> None:
    whole = {"type": "object", "properties": {"value": part}}
    assert Draft202012Validator(whole).is_valid({"value": value})
    assert Draft202012Validator(listed_output(whole, trusted=False) or {"not": {}}).is_valid({"value": value})


def test_an_alternative_that_says_nothing_of_a_name_keeps_an_answer_free_to_hold_it() -> None:
    parts = [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {}}}]
    made = listed_output({"type": "object", "anyOf": parts}, trusted=True) or {"not": {}}
    assert Draft202012Validator(made).is_valid({"a": 1})


def test_a_name_is_short_stable_and_never_shared() -> None:
    long = [public_name("srv", f"a_tool_with_a_name_that_goes_on_and_on_{n}") for n in range(50)]

    assert {len(name) for name in long} == {40}
    assert len(set(long)) == 50
    assert public_name("srv", "short") == "srv__short"
    crowded = [public_name("s" * 32, name, 24) for name in ("tool", "took")]
    assert crowded[0] != crowded[1]
    assert all(name.startswith("s" * 32 + "__") for name in crowded), "rules name a server's tools by that"
    assert len("mcp__lg-gateway__" + long[0]) < 64


@pytest.mark.anyio
@pytest.mark.usefixtures("programs_by_fork")
async def test_every_tool_that_is_listed_keeps_to_the_profile(tmp_path: Path) -> None:
    tools = [{"name": f"t{n}", "inputSchema": schema} for n, schema in enumerate(HOSTILE.values())]
    tools.append({"name": "a_tool_with_a_very_long_name_" * 2, "inputSchema": {"type": "object"}})
    own = '[gateway.servers.fs]\nbuiltin = "fs"\n[gateway.servers.exec]\nbuiltin = "exec"\n'
    own += '[gateway.servers.code]\nbuiltin = "code"\n'
    config = write_config(tmp_path, own, server("a"), misbehaving(tmp_path, tools=tools), ALLOW_ALL)
    root = tmp_path / "root"
    root.mkdir()
    async with client_of("--config", str(config), "--root", str(root)) as client:
        listed = (await client.list_tools()).tools

    assert {tool.name.partition("__")[0] for tool in listed} == {"fs", "exec", "code", "a", "odd", "mcp_result"}
    for tool in [*listed, *TOOLS]:
        assert problems(tool.input_schema) == [], tool.name
        assert tool.output_schema is None or problems(tool.output_schema) == [], tool.name
        assert len(tool.name) <= 40
        assert tool.description


@pytest.mark.anyio
async def test_a_server_gets_the_arguments_that_were_meant_under_its_own_names(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"paths": {"type": "array"}, "limit": {"type": "integer"}, "filter[name]": {"type": "string"}},
    }
    part = misbehaving(
        tmp_path, tools=[{"name": "find", "inputSchema": schema}, {"name": "pick", "inputSchema": EITHER}]
    )
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        entry = gateway.catalog.find("odd__find")
        assert entry is not None
        (renamed,) = entry.renamed
        answer = await call(gateway, "odd__find", **{"paths": '["a.txt"]', "limit": None, renamed: "x"})
        refused = await call(gateway, "odd__pick", c=1)

    assert json.loads(text_of(answer))["arguments"] == {"paths": ["a.txt"], "filter[name]": "x"}
    assert text_of(refused).startswith("invalid_arguments"), "the whole schema is still the one that is checked"
