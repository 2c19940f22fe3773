"""Conditions that no call can satisfy are found, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from lg_policy.rules.conditions import Condition

TOOL = {
    "type": "object",
    "properties": {
        "mode": {"enum": ["fast", "safe"]},
        "count": {"type": "integer", "minimum": 1},
        "path": {"type": "string"},
        "size": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "who": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False},
        "any": {},
    },
}


def why(when: dict[str, Any], *, require: bool = True) -> str | None:
    return Condition(when, where="rule", require=require).can_never_match(TOOL)


def about(**properties: Any) -> dict[str, Any]:
    return {"properties": properties}


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (about(modus={"const": "fast"}), "the tool has no argument 'modus'"),
        (about(mode={"const": "slow"}), "argument 'mode' is never 'slow'"),
        (about(mode={"pattern": "^x"}), "argument 'mode' is one of 'fast', 'safe', and none of them fits"),
        (about(count={"const": "1"}), "argument 'count' is never '1'"),
        (about(count={"enum": [0, -1]}), "argument 'count' is never 0, -1"),
        (about(count={"pattern": "^1$"}), "argument 'count' is integer, never string"),
        (about(path={"minimum": 3}), "argument 'path' is string, never number"),
        (about(path={"const": "a", "pattern": "^b"}), "cannot be 'a' and fit the rest"),
        (about(who={"properties": {"nick": {"const": "x"}}}), "'who' has no argument 'nick'"),
        (about(tags={"contains": {"const": 3}}), "argument 'tags[]' is never 3"),
        ({"anyOf": [about(mode={"const": "x"}), about(mode={"const": "y"})]}, "argument 'mode' is never 'x'"),
        ({"allOf": [about(path={"const": "a"}), about(mode={"const": "x"})]}, "argument 'mode' is never 'x'"),
    ],
)
def test_a_condition_that_no_call_satisfies_says_why(when: dict[str, Any], reason: str) -> None:
    assert reason in str(why(when))


@pytest.mark.parametrize(
    "when",
    [
        about(mode={"const": "fast"}),
        about(mode={"pattern": "^f"}),
        about(count={"const": 1.0}),
        about(size={"type": "integer"}),
        about(any={"const": [1]}),
        about(path={"not": {"pattern": "x"}}),
        about(who={"properties": {"name": {"pattern": "^a"}}}),
        about(tags={"items": {"pattern": "^a"}}),
        {"anyOf": [about(mode={"const": "x"}), about(mode={"const": "safe"})]},
        {"if": about(mode={"const": "fast"}), "then": about(count={"const": 1})},
    ],
)
def test_a_condition_that_some_call_satisfies_is_left_alone(when: dict[str, Any]) -> None:
    assert why(when) is None


def test_a_denial_that_tests_the_wrong_type_is_a_mistake_too() -> None:
    assert (
        why(about(count={"pattern": "^1$"}), require=False)
        == "argument 'count' is integer; pattern looks at strings only"
    )


def test_a_malformed_schema_of_a_server_says_nothing() -> None:
    condition = Condition(about(a={"const": 1}), where="rule", require=True)
    assert condition.can_never_match({"properties": {"a": {"type": 7, "minimum": "x"}}}) is None
    assert condition.can_never_match({"properties": {"a": "odd"}}) is None
    for known in ({"type": [["a"]]}, {"enum": 5}, {"minLength": "x"}, {"type": {"a": 1}}, {"properties": 5}):
        wanted = Condition(about(a={"const": "y"}), where="rule", require=True)
        assert wanted.can_never_match({"properties": {"a": known}}) is None
    assert condition.can_never_match({"type": [["a"]], "properties": [1]}) is None
