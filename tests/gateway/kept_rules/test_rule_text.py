"""A rule in a settings file: it says what was meant, and nothing else in the file changes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from lg_gateway.kept_rules.rule_text import rule_text, with_rule, without_rule

RULE: dict[str, Any] = {"name": "ap-1", "tools": ["a__b"], "effect": "allow", "pins": {"a__b": "d"}}
FILES = {
    "none": "",
    "comments": "# mine\n[approval]\nhold_s = 3 # short\n\n\n# last words\n",
    "rules": '[[gateway.rules]]\ntools = ["x"]\neffect = "deny"\n\n# about the servers\n'
    '[gateway.servers.a]\ncommand = "c"\n',
    "windows": '[approval]\r\nhold_s = 3\r\n\r\n[[gateway.rules]]\r\ntools = ["x"]\r\neffect = "deny"\r\n',
    "text": 'profile = "dev"\n[gateway.secret_patterns]\nx = """\n[[gateway.rules]]\n[not a table]\n"""\n',
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
def test_a_rule_is_added_and_taken_out_byte_for_byte(text: str) -> None:
    added = with_rule(text, rule_text(RULE, "Added today."))

    assert added.startswith(text)
    assert tomllib.loads(added.replace("\r\n", "\n"))["gateway"]["rules"][-1] == RULE
    index = len(tomllib.loads(added.replace("\r\n", "\n"))["gateway"]["rules"]) - 1
    assert without_rule(added, index) == text


def test_one_of_several_rules_is_taken_out_and_the_comments_of_the_next_table_stay() -> None:
    text = FILES["rules"] + "\n" + rule_text(RULE)

    left = without_rule(text, 0)

    assert left == '# about the servers\n[gateway.servers.a]\ncommand = "c"\n\n' + rule_text(RULE)


@pytest.mark.parametrize(
    "text",
    [
        '[gateway]\nrules = [ { tools = ["x"], effect = "deny" } ]\n',
        'gateway = { pins = "off" }\n',
        "[gateway]\nrules = 3\n",
    ],
)
def test_a_file_that_cannot_take_a_rule_at_its_end_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        with_rule(text, rule_text(RULE))


def test_a_rule_in_an_inline_list_is_taken_out_all_the_same() -> None:
    text = '[gateway]\nrules = [ { tools = ["x"], effect = "deny" }, { tools = ["y"], effect = "deny" } ] # two\n'

    left = tomllib.loads(without_rule(text, 0))

    assert [rule["tools"] for rule in left["gateway"]["rules"]] == [["y"]]


@pytest.mark.parametrize(
    "value",
    [
        '"',
        "\\",
        '"""',
        "'''",
        "\n[gateway]\n",
        "a\r\nb",
        "\x00\x1f\x7f",
        "\u202e\u2028\u200b",
        "\U0001f600",
        "#",
        "]]",
        "{",
        "=",
        "\ufeff",
    ],
)
def test_whatever_a_text_holds_the_rule_holds_it_on_one_line(value: str) -> None:
    when = {"properties": {value: {"const": [value, {value: 1.5}]}}}
    text = rule_text(RULE | {"tools": [value], "when": when})

    assert tomllib.loads(text)["gateway"]["rules"] == [RULE | {"tools": [value], "when": when}]
    assert len(text.splitlines()) == 6
    assert all(char.isprintable() or char == "\n" for char in text)


@pytest.mark.parametrize("value", ["\ud800", float("nan"), float("inf"), None, {1, 2}])
def test_what_a_settings_file_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        rule_text(RULE | {"when": {"const": value}})
