"""Decisions: deny beats approve beats allow; defaults only where no rule matches."""

from __future__ import annotations

from typing import Any

import pytest

from lg_policy.errors import ConfigError
from lg_policy.rules.rule_set import Effect, RuleBook, ToolFacts
from tests.policy.rules.support_rules import PATCH, book

READ = ToolFacts(server="fs", tool="fs__read_file", name="read_file", trusted=True, builtin="fs", read_only=True)
EXEC = ToolFacts(server="exec", tool="exec__exec", name="exec", trusted=True, builtin="exec", sandbox_active=True)
FOREIGN = ToolFacts(server="web", tool="web__get", name="get", read_only=True)


def effect(rules: RuleBook, facts: ToolFacts, arguments: dict[str, Any] | None = None, identity: str = "me") -> Effect:
    return rules.decide(identity=identity, facts=facts, arguments=arguments or {}).effect


def test_the_defaults() -> None:
    rules = book()
    assert effect(rules, READ) is Effect.ALLOW
    assert effect(rules, PATCH) is Effect.APPROVE
    assert effect(rules, EXEC, {"cmd": "pytest"}) is Effect.ALLOW
    assert effect(rules, FOREIGN) is Effect.APPROVE, "an untrusted server's readOnlyHint counts for nothing"


def test_mutations_are_allowed_when_the_setting_says_so() -> None:
    assert effect(book(policy={"require_approval_for_mutations": False}), PATCH) is Effect.ALLOW


@pytest.mark.parametrize(
    ("facts", "settings", "cmd"),
    [
        (ToolFacts(server="exec", tool="exec__exec", name="exec", trusted=True, builtin="exec"), {}, "pytest"),
        (EXEC, {}, "unknown"),
        (EXEC, {"policy": {"network_default": "allow"}}, "pytest"),
        (EXEC, {"exec": {"commands": {"pytest": {"approval": True}}}}, "pytest"),
        (EXEC, {"exec": {"commands": {"pytest": {"network": True}}}}, "pytest"),
        (EXEC, {"exec": {"commands": {"pytest": {"root": "rw"}}}}, "pytest"),
    ],
)
def test_a_command_needs_approval_unless_sandboxed_offline_and_without_trace(
    facts: ToolFacts, settings: dict[str, Any], cmd: str
) -> None:
    assert effect(book(**settings), facts, {"cmd": cmd}) is Effect.APPROVE


def test_deny_beats_approve_beats_allow_in_any_order() -> None:
    allow = {"tools": ["*"], "effect": "allow"}
    approve = {"tools": ["fs__*"], "effect": "approve"}
    deny = {"tools": ["fs__apply_patch"], "effect": "deny", "reason": "no"}
    for rules in ([allow, approve, deny], [deny, allow, approve], [approve, deny, allow]):
        decision = book(*rules).decide(identity="me", facts=PATCH, arguments={})
        assert (decision.effect, decision.reason) == (Effect.DENY, "no")
    assert effect(book(allow, approve), READ) is Effect.APPROVE
    assert effect(book(allow), FOREIGN) is Effect.ALLOW


def test_a_rule_names_itself_in_the_decision() -> None:
    decision = book({"tools": ["x"], "effect": "deny"}, {"tools": ["fs__*"], "effect": "deny"}).decide(
        identity="me", facts=PATCH, arguments={}
    )
    assert decision.rule == "gateway.rules[1]"


def test_conditions_look_at_argument_values() -> None:
    rules = book({"tools": ["exec__exec"], "when": {"properties": {"cmd": {"const": "git"}}}, "effect": "deny"})
    assert effect(rules, EXEC, {"cmd": "git"}) is Effect.DENY
    assert effect(rules, EXEC, {"cmd": "pytest"}) is Effect.ALLOW


def test_an_allow_requires_the_properties_it_names() -> None:
    rules = book({"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "allow"})
    assert effect(rules, PATCH, {"path": "docs/a"}) is Effect.ALLOW
    assert effect(rules, PATCH, {}) is Effect.APPROVE


@pytest.mark.parametrize(
    ("path", "expected"),
    [("./docs//a", Effect.ALLOW), ("docs/../src/a", Effect.APPROVE), ("src/docs/", Effect.APPROVE)],
)
def test_paths_are_normalised_for_allows_and_dot_dot_matches_none(path: str, expected: Effect) -> None:
    rules = book({"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "allow"})
    assert effect(rules, PATCH, {"path": path}) is expected


def test_a_denial_hits_the_path_however_it_is_spelled() -> None:
    rules = book(
        {"tools": ["*"], "effect": "allow"},
        {"tools": ["*"], "when": {"properties": {"path": {"pattern": "^secret/"}}}, "effect": "deny"},
        {"tools": ["*"], "when": {"properties": {"path": {"pattern": r"\.\."}}}, "effect": "deny"},
    )
    assert effect(rules, PATCH, {"path": ".//secret/x"}) is Effect.DENY
    assert effect(rules, PATCH, {"path": "a/../secret/x"}) is Effect.DENY


def test_an_allowance_with_a_condition_waits_for_the_schema_and_a_denial_does_not() -> None:
    unknown = ToolFacts(server="x", tool="x__y", name="y")
    allow = {"tools": ["*"], "when": {"properties": {"a": {"const": 1}}}, "effect": "allow"}
    assert effect(book(allow), unknown, {"a": 1}) is Effect.APPROVE
    assert effect(book({**allow, "effect": "deny"}), unknown, {"a": 1}) is Effect.DENY


def test_a_rule_that_can_never_match_is_reported_with_its_place_and_allows_nothing() -> None:
    rules = book({"tools": ["fs__apply_patch"], "when": {"properties": {"file": {"const": "a"}}}, "effect": "allow"})
    assert rules.problems(PATCH) == [
        "gateway.rules[0]: for fs__apply_patch: the tool has no argument 'file'; it has dry_run, path"
    ]
    assert effect(rules, PATCH, {"file": "a"}) is Effect.APPROVE


def test_identities_and_wildcards() -> None:
    rules = book({"tools": ["fs__*"], "identities": ["ci-*"], "effect": "deny"})
    assert effect(rules, READ, identity="ci-1") is Effect.DENY
    assert effect(rules, READ, identity="me") is Effect.ALLOW
    assert not rules.visible(identity="ci-1", facts=READ)
    assert rules.visible(identity="me", facts=READ)


def test_the_stricter_approver_wins() -> None:
    rules = book({"tools": ["*"], "effect": "approve"}, {"tools": ["*"], "effect": "approve", "approver": "operator"})
    assert rules.decide(identity="me", facts=READ, arguments={}).approver == "operator"


def test_a_pattern_that_explodes_elsewhere_is_linear_here() -> None:
    rules = book({"tools": ["*"], "when": {"properties": {"path": {"pattern": "^(a+)+$"}}}, "effect": "deny"})
    assert effect(rules, PATCH, {"path": "a" * 5000 + "!"}) is Effect.APPROVE


@pytest.mark.parametrize(
    "when", [{"type": "nonsense"}, {"properties": {"a": {"pattern": "(?=x)"}}}, {"patternProperties": {"(": {}}}]
)
def test_a_condition_that_is_no_schema_is_an_error_with_its_place(when: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.rules\[0\]"):
        book({"tools": ["*"], "when": when, "effect": "deny"})


def test_a_rule_for_no_tool_is_an_error() -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        book({"tools": [], "effect": "deny"})


@pytest.mark.parametrize("odd", [5, None, ["docs/a"], {"docs/": 1}])
def test_an_allowance_by_pattern_never_matches_what_is_no_text(odd: Any) -> None:
    untyped = ToolFacts(server="x", tool="x__y", name="y", input_schema={"properties": {"path": {}}})
    rules = book({"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "allow"})
    assert effect(rules, untyped, {"path": "docs/a"}) is Effect.ALLOW
    assert effect(rules, untyped, {"path": odd}) is Effect.APPROVE


def test_a_rule_for_several_tools_counts_for_each_by_that_tools_own_schema() -> None:
    one = ToolFacts(server="x", tool="x__one", input_schema={"properties": {"a": {"type": "string"}}})
    two = ToolFacts(server="x", tool="x__two", input_schema={"properties": {"b": {"type": "string"}}})
    rules = book({"tools": ["x__*"], "when": {"properties": {"a": {"const": "1"}}}, "effect": "allow"})
    for _ in range(2):
        assert effect(rules, one, {"a": "1"}) is Effect.ALLOW
        assert effect(rules, two, {"a": "1"}) is Effect.APPROVE
    changed = ToolFacts(server="x", tool="x__one", input_schema={"properties": {"c": {"type": "string"}}})
    assert effect(rules, changed, {"a": "1"}) is Effect.APPROVE


def test_wildcards_that_explode_elsewhere_are_linear_here() -> None:
    rules = book({"tools": ["*a" * 30 + "b"], "identities": ["*x" * 30 + "y"], "effect": "deny"})
    facts = ToolFacts(server="s", tool="a" * 64)
    assert effect(rules, facts, identity="x" * 5000) is Effect.APPROVE


def test_a_rule_that_a_stricter_one_hides_is_named() -> None:
    deny = {"tools": ["fs__*"], "effect": "deny"}
    allow = {"tools": ["fs__read_file"], "effect": "allow"}
    other = {"tools": ["fs__*", "web__get"], "effect": "allow"}
    narrower = {"tools": ["fs__list_files"], "effect": "deny", "identities": ["ci"]}
    told = book(deny, allow, other, narrower).shadowed()
    assert told == ["gateway.rules[1] never decides: gateway.rules[0] says deny to all that it covers"]


def test_a_rule_that_names_no_tool_there_is_is_named() -> None:
    told = book({"tools": ["fs__reed"], "effect": "deny"}, {"tools": ["fs__*"], "effect": "deny"}).unused(["fs__read"])
    assert told == ["gateway.rules[0]: there is no tool fs__reed"]


def test_every_rule_about_a_tool_says_whether_it_matches_and_why_not() -> None:
    rules = book(
        {"tools": ["*"], "effect": "allow"},
        {"tools": ["*"], "identities": ["ci"], "effect": "deny"},
        {"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "approve"},
        {"tools": ["*"], "when": {"properties": {"nothing": {"const": 1}}}, "effect": "allow"},
        {"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "allow"},
    )
    views = rules.views(identity="me", facts=PATCH, arguments={"path": "src/x"})
    assert [view.matches for view in views] == [True, False, False, False, False]
    assert [view.why for view in views[:2]] == ["", "it is about ci, not me"]
    assert views[2].why == "its condition does not hold: path: 'src/x' does not match '^docs/'"
    assert views[3].why.startswith("it can never match: the tool has no argument 'nothing'")
    escaped = rules.views(identity="me", facts=PATCH, arguments={"path": "docs/../x"})
    assert escaped[2].matches, "what asks need not understand a path to ask"
    assert "`..`" in escaped[4].why


@pytest.mark.parametrize(("text", "expected"), [("secret\ud800", Effect.DENY), ("\udfff", Effect.ALLOW)])
def test_half_characters_neither_break_nor_hide_from_a_pattern(text: str, expected: Effect) -> None:
    rules = book(
        {"tools": ["*"], "effect": "allow"},
        {"tools": ["*"], "effect": "deny", "when": {"properties": {"path": {"pattern": "secret"}}}},
    )
    assert effect(rules, PATCH, {"path": text}) is expected
    assert (
        effect(book({"tools": ["*"], "identities": ["a*"], "effect": "deny"}), PATCH, identity="a\ud800") is Effect.DENY
    )


def test_a_pattern_in_a_value_is_no_pattern_and_one_below_a_property_of_any_name_is() -> None:
    value = {"pattern": "(?=x)", "patternProperties": {"(": 1}}
    patterns: list[dict[str, Any]] = [
        {"pattern": "(?=x)"},
        {"items": {"anyOf": [{"patternProperties": {"(?=x)": {}}}]}},
    ]
    for literal in ({"const": value}, {"enum": [value]}, {"default": value}):
        book({"tools": ["*"], "effect": "deny", "when": {"properties": {"path": literal}}})
    for name in ("const", "enum", "default", "examples", "pattern", "properties"):
        for bad in patterns:
            with pytest.raises(ConfigError, match="does not run on RE2"):
                book({"tools": ["*"], "effect": "deny", "when": {"properties": {name: bad}}})
