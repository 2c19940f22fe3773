"""Which rules are offered for a call: each allows that call, and nothing that its words do not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.kept_rules.choices import EXACT, PATTERN, TOOL, RuleChoice, allows, choices
from lg_policy.rules.rule_set import ToolFacts

ME = "local:me"
STRINGS = {"type": "object", "properties": {name: {} for name in ("path", "url", "deep", "flag", "more", "list")}}
FOREIGN = ToolFacts(server="s", tool="s__read", name="read", pin="d1", input_schema=STRINGS)


def own(root: Path, server: str = "fs", tool: str = "read_file") -> ToolFacts:
    path = {"type": "string", "format": "lg-path"}
    schema = {"type": "object", "properties": {"path": path, "cmd": {"type": "string"}}}
    return ToolFacts(
        server=server,
        tool=f"{server}__{tool}",
        name=tool,
        trusted=True,
        builtin=server,
        input_schema=schema,
        root=str(root),
    )


def offered(facts: ToolFacts, arguments: dict[str, Any], *, secrets: bool = False) -> dict[str, RuleChoice]:
    return {choice.kind: choice for choice in choices(facts, ME, arguments, secrets=secrets)}


def test_every_rule_that_is_offered_allows_the_call_and_only_for_its_caller() -> None:
    arguments = {"path": "docs/guide/a.md"}
    found = offered(FOREIGN, arguments)

    assert list(found) == [TOOL, EXACT, PATTERN]
    for choice in found.values():
        assert allows(choice.rule, FOREIGN, ME, arguments)
        assert not allows(choice.rule, FOREIGN, "local:other", arguments)


def test_the_exact_rule_allows_these_arguments_and_no_others() -> None:
    arguments: dict[str, Any] = {"path": "a", "deep": {"x": [1, "two"], "none": None}, "flag": True}
    rule = offered(FOREIGN, arguments)[EXACT].rule

    assert allows(rule, FOREIGN, ME, arguments)
    for other in (
        {},
        {"path": "a"},
        arguments | {"path": "b"},
        arguments | {"more": 1},
        arguments | {"flag": 1},
        arguments | {"deep": {"x": [1, "two"], "none": 0}},
        arguments | {"deep": {"x": [1, "two"]}},
    ):
        assert not allows(rule, FOREIGN, ME, other), other


def test_a_call_without_arguments_has_an_exact_rule_that_takes_none() -> None:
    rule = offered(FOREIGN, {})[EXACT].rule

    assert allows(rule, FOREIGN, ME, {})
    assert not allows(rule, FOREIGN, ME, {"path": "a"})


@pytest.mark.parametrize(
    "path",
    [
        "docs/../secret", "docs/..", "docs/a/../../x", "docs//x", "docs/.", "docs/%2e%2e/x", "docs\\..\\x",
        "docs/a\\..\\..\\x",
        "xdocs/a", "docs", "docs/", "/docs/a", "docs/a\n/../../x", "docs/..\x00/x", "docsx/a", "docs/a/.",
    ],
)  # fmt: skip
def test_a_path_pattern_leads_down_only_however_a_server_reads_it(path: str) -> None:
    rule = offered(FOREIGN, {"path": "docs/a.md"})[PATTERN].rule

    assert not allows(rule, FOREIGN, ME, {"path": path})
    assert allows(rule, FOREIGN, ME, {"path": "docs/b/.hidden/..c"}) is False
    assert allows(rule, FOREIGN, ME, {"path": "docs/b/.hidden/c d.md"})


@pytest.mark.parametrize("path", ["a.md", "./a.md", "../a.md", "docs/../a.md", "/a", "d\\a/b", "%2e/a"])
def test_a_path_whose_folder_says_nothing_has_no_pattern(path: str) -> None:
    assert PATTERN not in offered(FOREIGN, {"path": path})


def test_an_address_pattern_stays_on_its_host() -> None:
    rule = offered(FOREIGN, {"url": "https://docs.example.com/a?b"})[PATTERN].rule

    assert allows(rule, FOREIGN, ME, {"url": "https://docs.example.com/other"})
    for url in (
        "https://docs.example.com.evil.net/a",
        "https://docs.example.com@evil.net/a",
        "https://docs.example.com\\@evil.net/",
        "http://docs.example.com/a",
        "https://docsxexample.com/a",
    ):
        assert not allows(rule, FOREIGN, ME, {"url": url}), url
    assert PATTERN not in offered(FOREIGN, {"url": "https://user@docs.example.com/a"})


def test_a_pattern_leaves_the_arguments_that_choose_what_is_done() -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "mode": {"enum": ["read", "delete"]}}}
    facts = replace(FOREIGN, input_schema=schema)
    rule = offered(facts, {"path": "docs/a", "mode": "read"})[PATTERN].rule

    assert allows(rule, facts, ME, {"path": "docs/b", "mode": "read"})
    assert not allows(rule, facts, ME, {"path": "docs/b", "mode": "delete"})


def test_a_command_pattern_takes_any_arguments_of_that_command_on_that_root(tmp_path: Path) -> None:
    facts = own(tmp_path, "exec", "exec")
    found = offered(facts, {"cmd": "pytest", "args": ["-q"]})

    assert found[PATTERN].words == 'command "pytest" with any arguments'
    rule = found[PATTERN].rule
    assert allows(rule, facts, ME, {"cmd": "pytest", "args": ["-x"]})
    assert not allows(rule, facts, ME, {"cmd": "git"})
    assert not allows(rule, replace(facts, root="/elsewhere"), ME, {"cmd": "pytest"})


def test_a_changed_definition_is_not_allowed_by_a_kept_rule() -> None:
    for choice in offered(FOREIGN, {"path": "docs/a"}).values():
        assert not allows(choice.rule, replace(FOREIGN, pin="d2"), ME, {"path": "docs/a"})


def test_paths_of_our_own_servers_are_kept_in_plain_form_and_a_link_offers_no_path(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "out").symlink_to("docs")
    facts = own(tmp_path)

    assert allows(offered(facts, {"path": "./docs/a.md"})[EXACT].rule, facts, ME, {"path": "docs/a.md"})
    assert list(offered(facts, {"path": "out/a.md"})) == [TOOL]
    assert list(offered(facts, {"path": "../a.md"})) == [TOOL]


def test_arguments_that_are_secret_large_or_deep_are_in_no_rule() -> None:
    assert list(offered(FOREIGN, {"path": "docs/a"}, secrets=True)) == [TOOL]
    assert list(offered(FOREIGN, {"path": "x" * 3_000})) == [TOOL]
    deep: Any = None
    for _ in range(20):
        deep = {"a": deep}
    assert list(offered(FOREIGN, {"deep": deep})) == [TOOL]
    assert list(offered(FOREIGN, {"list": [None]})) == [TOOL]


def test_nothing_is_offered_for_a_name_that_a_rule_would_read_as_many() -> None:
    assert choices(replace(FOREIGN, tool="s__*"), ME, {}, secrets=False) == []
    assert choices(FOREIGN, "local:*", {}, secrets=False) == []
    assert choices(replace(FOREIGN, input_schema=None), ME, {}, secrets=False) == []


@pytest.mark.parametrize(
    "value",
    [
        {"pattern": "(?=x)"},
        [{"patternProperties": {"(": 1}}],
        {"properties": {"pattern": "("}, "$ref": "#/nowhere", "type": 7},
    ],
)
def test_arguments_that_look_like_a_schema_are_kept_as_they_are(value: Any) -> None:
    rule = offered(FOREIGN, {"deep": value})[EXACT].rule
    assert allows(rule, FOREIGN, ME, {"deep": value})
    assert not allows(rule, FOREIGN, ME, {"deep": "x"})


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, [float("inf")], float("-inf"), float("nan")])
def test_arguments_that_no_settings_file_can_hold_are_in_no_rule(value: Any) -> None:
    assert list(offered(FOREIGN, {"deep": value})) == [TOOL]
    assert choices(replace(FOREIGN, tool="s__\ud800"), ME, {}, secrets=False) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": [1]},
        {"properties": "path"},
        {"type": [["string"]], "properties": 5},
        {"properties": {"path": {"enum": 5, "minLength": "x"}, "flag": {"const": {}, "type": {"a": 1}}}},
        {"required": 5, "allOf": 3, "enum": 5},
        {"properties": {"path": {"minLength": "x"}}},
    ],
)
def test_a_tool_whose_schema_is_none_is_offered_like_any_other(schema: dict[str, Any]) -> None:
    found = offered(replace(FOREIGN, input_schema=schema), {"path": "docs/guide/a.md", "flag": True})
    assert TOOL in found
