"""Which rules are offered for a resource and for a prompt: each allows what its words say, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lg_gateway.catalog.offers import uri_facts
from lg_gateway.kept_rules.choices import EXACT, PATTERN, TOOL, allows, choices
from lg_gateway.processes.server_specs import ServerSpec
from lg_policy.rules.rule_set import Kind, ToolFacts

ME = "local:me"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}}}
PROMPT = ToolFacts(
    server="s", tool="s__review", kind=Kind.PROMPT, name="review", read_only=True, input_schema=SCHEMA, pin="d1"
)


SERVER = ServerSpec(
    name="s",
    builtin=None,
    trusted=False,
    mode="auto",
    launch=None,
    url="http://127.0.0.1:1/mcp",
    headers={},
    connect_timeout_s=1,
    call_timeout_s=1,
)


def resource(uri: str) -> ToolFacts:
    return uri_facts(SERVER, uri)


def offered(facts: ToolFacts, arguments: Mapping[str, Any], *, secrets: bool = False) -> dict[str, Any]:
    return {choice.kind: choice for choice in choices(facts, ME, arguments, secrets=secrets)}


def of_uri(uri: str) -> dict[str, Any]:
    return offered(resource(uri), {"uri": uri})


def reads(rule: Mapping[str, Any], uri: str, identity: str = ME) -> bool:
    return allows(rule, resource(uri), identity, {"uri": uri})


@pytest.mark.parametrize(
    ("uri", "beside", "outside"),
    [
        ("file:///home/me/docs/a.md", "file:///home/me/docs/sub/b.md", "file:///home/me/other/b.md"),
        ("https://example.com/v1/a?page=1", "https://example.com/v1/b?page=2", "https://example.org/v1/a"),
        ("note://1", "note://2", "notes://2"),
        ("ui://app/view", "ui://app/other", "ui://apps/view"),
        ("repo://owner/name/a%20b", "", "repo://owner/other/a"),
    ],
)
def test_a_resource_is_offered_alone_and_with_its_folder(uri: str, beside: str, outside: str) -> None:
    found = of_uri(uri)
    alone, folder = found[TOOL].rule, found[PATTERN].rule

    assert list(found) == [TOOL, PATTERN]
    assert reads(alone, uri)
    assert reads(folder, uri)
    assert not reads(alone, uri, "local:other")
    if beside:
        assert reads(folder, beside)
        assert not reads(alone, beside)
    assert not reads(folder, outside)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///home/me/docs/../x", "file:///home/me/docs/%2e%2e/x", "file:///home/me/docs/a/..\\..\\x",
        "file:///home/me/docsx/a", "file:///home/me/docs", "file:///home/me/docs/%252e%252e/%252e%252e/x",
        "file://host/home/me/docs/../a", "FILE:///home/me/secret",
    ],
)  # fmt: skip
def test_a_folder_leads_down_only_however_a_server_reads_the_address(uri: str) -> None:
    assert not reads(of_uri("file:///home/me/docs/a.md")[PATTERN].rule, uri)


@pytest.mark.parametrize("uri", ["file:///a", "https://example.com", "memo:a", "urn:x:1", "note://", "plain"])
def test_an_address_without_a_folder_is_offered_alone(uri: str) -> None:
    assert list(of_uri(uri)) == [TOOL]


@pytest.mark.parametrize("uri", ["file:///docs/../a", "file:///a*b", "file:///a\x00b"])
def test_an_address_that_no_rule_can_name_is_offered_nothing(uri: str) -> None:
    assert of_uri(uri) == {}


def test_the_words_say_that_a_query_is_not_told_apart_from_none() -> None:
    alone = of_uri("https://example.com/v1/a?page=1")[TOOL]

    assert alone.words.endswith("and the same without its query")
    assert reads(alone.rule, "https://example.com/v1/a")
    assert not reads(alone.rule, "https://example.com/v1/a?page=2")


def test_an_address_with_a_secret_in_it_is_written_into_no_rule() -> None:
    assert offered(resource("https://h/a?key=abc"), {"uri": "https://h/a?key=abc"}, secrets=True) == {}


def test_a_prompt_is_offered_as_such_and_with_exactly_these_arguments_while_it_is_defined_like_this() -> None:
    arguments = {"name": "review", "arguments": {"depth": "2"}}
    found = offered(PROMPT, arguments)
    other = {"name": "review", "arguments": {"depth": "3"}}

    assert list(found) == [TOOL, EXACT]
    assert found[TOOL].words == 'this prompt, "s__review"'
    assert allows(found[TOOL].rule, PROMPT, ME, other)
    assert allows(found[EXACT].rule, PROMPT, ME, arguments)
    assert not allows(found[EXACT].rule, PROMPT, ME, other)
    for choice in found.values():
        assert not allows(choice.rule, replace(PROMPT, pin="d2"), ME, arguments)
        assert not allows(choice.rule, replace(PROMPT, tool="s__other"), ME, arguments)


def test_a_rule_for_a_tool_a_resource_or_a_prompt_allows_nothing_of_another_kind() -> None:
    uri = "note://s__review"
    rules = [of_uri(uri)[TOOL].rule, offered(PROMPT, {"name": "review", "arguments": {}})[TOOL].rule]
    tool = replace(PROMPT, kind=Kind.TOOL)

    assert not any(allows(rule, tool, ME, {}) for rule in rules)
    assert not reads(rules[1], uri)
    assert not allows(rules[0], PROMPT, ME, {"name": "review", "arguments": {}})


@pytest.mark.attack("approvals", "a server's address hides `*`, `?` or `#` from who reads the rule that is kept for it")
@pytest.mark.parametrize("hidden", ["%2A", "%252a", "%2A%2a", "%3f", "%3Fx", "%23", "%2523"])
def test_no_rule_is_offered_that_covers_more_than_the_address_shows(hidden: str) -> None:
    for uri in (f"note://{hidden}", f"note://a/{hidden}/b", f"note://a/{hidden}?q=1", f"file:///home/{hidden}/key"):
        assert of_uri(uri) == {}, uri
