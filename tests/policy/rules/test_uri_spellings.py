"""Rules about resources: a denial holds for every spelling of a URI, an allowance must cover them all."""

from __future__ import annotations

import pytest

from lg_policy.rules.rule_set import Effect, Kind, RuleBook, ToolFacts
from lg_policy.rules.uri_spellings import spellings
from tests.policy.rules.support_rules import book

DENY = {"resources": ["fx+test://secret/*"], "effect": "deny"}
ALLOW = {"resources": ["fx+test://docs/*"], "effect": "allow"}


def resource(uri: str, *, server: str = "fx", trusted: bool = False) -> ToolFacts:
    return ToolFacts(
        server=server,
        tool=f"{server}+{uri}",
        kind=Kind.RESOURCE,
        name=uri,
        trusted=trusted,
        read_only=True,
        spellings=spellings(uri, f"{server}+{{}}".format),
    )


def effect(rules: RuleBook, uri: str, *, trusted: bool = False) -> Effect:
    facts = resource(uri, trusted=trusted)
    return rules.decide(identity="me", facts=facts, arguments={"uri": uri}).effect


OTHER_SPELLINGS = [
    "test://secret/a",
    "TEST://secret/a",
    "test://SECRET/a",
    "test://secret/%61",
    "test://s%65cret/a",
    "test://%2573ecret/a",
    "test://docs/../secret/a",
    "test://secret//a",
    "test:/secret/a/../../../secret/a",
    "test://secret/./a",
    "test:\\\\secret\\a",
    "test://secret/a?x=1",
    "test://secret/a#b",
    "test://\uff53ecret/a",
]


@pytest.mark.parametrize("uri", [uri for uri in OTHER_SPELLINGS if not uri.startswith(("test://docs", "test:/s"))])
def test_a_denial_holds_for_every_spelling(uri: str) -> None:
    rules = book(DENY, {"resources": ["*"], "effect": "allow"})
    assert effect(rules, uri) is Effect.DENY
    assert not rules.visible(identity="me", facts=resource(uri))


@pytest.mark.parametrize(
    "uri", ["test://docs/../secret/a", "test://docs/%2e%2e/secret/a", "test://docs/%252e%252e/a", "test://docs/a\\b",
            "test://docs/a%00", "test://docs/%25252525252525252541", "test://docs%2fa"],
)  # fmt: skip
def test_an_allowance_covers_nothing_that_may_lead_elsewhere(uri: str) -> None:
    rules = book(ALLOW)
    assert effect(rules, "test://docs/a") is Effect.ALLOW
    assert effect(rules, "test://docs/a?x=1") is Effect.ALLOW
    assert effect(rules, uri) is Effect.APPROVE


def test_files_are_named_in_one_way_however_their_address_is_written() -> None:
    rules = book({"resources": ["fx+file:///etc/*"], "effect": "deny"})
    for uri in ("file:///etc/x", "file:/etc/x", "file://localhost/etc/x", "FILE:////etc/x", "file:///a/../etc/x"):
        assert effect(rules, uri, trusted=True) is Effect.DENY, uri


def test_the_defaults_follow_trust_and_a_rule_about_tools_is_none_about_resources() -> None:
    assert effect(book(), "test://a", trusted=True) is Effect.ALLOW
    assert effect(book(), "test://a") is Effect.APPROVE
    assert effect(book({"tools": ["*"], "effect": "allow"}), "test://a") is Effect.APPROVE
    assert effect(book({"tools": ["fx__echo"], "effect": "deny"}), "test://a", trusted=True) is Effect.ALLOW


def test_a_refusal_of_all_that_a_server_has_counts_for_its_resources_and_prompts_too() -> None:
    prompt = ToolFacts(server="fx", tool="fx__p", kind=Kind.PROMPT, name="p", trusted=True)
    for tools in (["*"], ["fx__*"], ["f*"]):
        rules = book({"tools": tools, "effect": "deny", "identities": ["guest"]})
        facts = resource("test://a", trusted=True)
        assert rules.decide(identity="guest", facts=facts, arguments={}).effect is Effect.DENY
        assert not rules.visible(identity="guest", facts=prompt)
        assert rules.visible(identity="me", facts=prompt)
    asks = book({"tools": ["fx__*"], "effect": "approve"})
    assert effect(asks, "test://a", trusted=True) is Effect.APPROVE
    narrower = book({"tools": ["fx__*"], "resources": ["fx+test://b"], "effect": "deny"})
    assert effect(narrower, "test://a", trusted=True) is Effect.ALLOW, "it says itself which resources it is about"


def test_conditions_see_every_form_of_the_uri() -> None:
    when = {"properties": {"uri": {"pattern": "^test://secret/"}}}
    rules = book({"resources": ["*"], "when": when, "effect": "deny"}, {"resources": ["*"], "effect": "allow"})
    assert effect(rules, "test://secr%65t/a") is Effect.DENY
    assert effect(rules, "test://open/a") is Effect.ALLOW
    only = book({"resources": ["*"], "when": when, "effect": "allow"})
    assert effect(only, "test://secret/a") is Effect.ALLOW
    assert effect(only, "test://secret/../a") is Effect.APPROVE


def test_many_spellings_take_linear_time() -> None:
    rules = book(DENY)
    for uri in ("test://" + "%25" * 1_300, "test://" + "../" * 1_300, "/" * 4_000, "test://" + "a*" * 2_000):
        effect(rules, uri)


ALIKE = [
    ("file:///etc/passwd", [
        "file:///etc/passwd/", "file://any.host/etc/passwd", "file://me@localhost:80/etc/passwd", " file:///etc/passwd",
        "file:///etc/passwd%00.txt", "file:///etc/%2F/../passwd", "file:///etc//../passwd", "file:/etc/%70asswd?x#y",
        "file:///a/%2e%2E/etc/passwd", "file:\\\\\\etc\\passwd",
    ]),
    ("file:/etc/passwd", ["file:///etc/passwd", "file:/etc/./passwd"]),
    ("file:///my%20notes/a", ["file:///my notes/a", "file:///my%20notes/%61"]),
    ("file:///my notes/./a", ["file:///my%20notes/a"]),
    ("https://a.example/x", [
        "https://good@a.example/x", "https://a.example:443/x", "https://a.example./x", "https:a.example/x",
        "https:///a.example/x", "https://A.example//x", "https://\uff41.example/x",
    ]),
    ("https://a.example", ["https://a.example/", "https://a.example:/"]),
    ("https://a.example:443/*", ["https://a.example/x", "https://a.example:443/x/"]),
    ("https://b\u00fccher.example/*", ["https://xn--bcher-kva.example/x"]),
    ("http://127.0.0.1/*", ["http://0x7f.1/x", "http://2130706433/x", "http://u:p@127.1:80/x"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "uris"), ALIKE)
def test_a_denial_holds_for_what_some_servers_take_for_the_same_however_the_rule_itself_is_written(
    rule: str, uris: list[str]
) -> None:
    rules = book({"resources": [f"fx+{rule}"], "effect": "deny"}, {"resources": ["*"], "effect": "allow"})
    asks = book({"resources": [f"fx+{rule}"], "effect": "approve"}, {"resources": ["*"], "effect": "allow"})
    for uri in uris:
        assert effect(rules, uri) is Effect.DENY, uri
        assert effect(asks, uri) is Effect.APPROVE, uri
    for uri in ("file:///etc/passwd2", "https://a.example:8443/x", "file:///notes/a", "https://b.example/x"):
        assert effect(rules, uri) is Effect.ALLOW, uri


def test_a_query_in_a_rule_stays_part_of_it_and_an_allowance_is_only_what_it_says() -> None:
    rules = book({"resources": ["fx+https://a.example/x?key=1"], "effect": "deny"}, ALLOW)
    assert effect(rules, "https://a.example/x?key=1") is Effect.DENY
    assert effect(rules, "https://a.example/x", trusted=True) is Effect.ALLOW
    only = book({"resources": ["fx+file:///docs/a", "fx+test://docs/"], "effect": "allow"})
    assert effect(only, "test://docs/") is Effect.ALLOW, "other forms of it do not matter to what allows"
    assert effect(only, "file://any.host/docs/a") is Effect.APPROVE
