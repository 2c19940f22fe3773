"""Decisions: deny beats approve beats allow; defaults only where no rule matches."""

from __future__ import annotations

from typing import Any

import pytest

from lg_policy.config import Settings
from lg_policy.errors import ConfigError
from lg_policy.rules import Effect, RuleBook, ToolFacts

PATCH = ToolFacts(
    server="fs",
    tool="fs__apply_patch",
    name="apply_patch",
    trusted=True,
    builtin="fs",
    input_schema={
        "type": "object",
        "properties": {"path": {"type": "string", "format": "lg-path"}, "dry_run": {"type": "boolean"}},
    },
)
READ = ToolFacts(server="fs", tool="fs__read_file", name="read_file", trusted=True, builtin="fs", read_only=True)
EXEC = ToolFacts(server="exec", tool="exec__exec", name="exec", trusted=True, builtin="exec", sandbox_active=True)
FOREIGN = ToolFacts(server="web", tool="web__get", name="get", read_only=True)


def book(*rules: dict[str, Any], **settings: Any) -> RuleBook:
    return RuleBook(Settings.model_validate({**settings, "gateway": {"rules": list(rules)}}))


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
