"""`lg-gateway rules`: what decides and how often, rules that a person adds and takes back, and rules from history."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.approvals.support_approvals import approve, asked_client
from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import gateway_of, make_setup, records, send, server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
NO_HOLD = "[approval]\nhold_s = 0\n"


def user_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml"


def write(text: str) -> None:
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text)


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(user_file().read_text()).get("gateway", {}).get("rules", [])
    return found


async def typed(*args: str, keys: str) -> str:
    def at_terminal() -> str:
        with gateway_on_terminal(*args) as screen:
            screen.wait("[y]es")
            screen.type(keys)
            screen.end()
            return screen.shown

    return await anyio.to_thread.run_sync(at_terminal)


async def test_rules_are_listed_with_their_place_and_how_often_they_decided(tmp_path: Path) -> None:
    write(
        '# mine\n[[gateway.rules]]\nname = "peeks"\ntools = ["a__peek"]\neffect = "allow"\n\n'
        '[[gateway.rules]]\ntools = ["zz__*"]\neffect = "deny"\n'
    )
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        for text in ("x", "y"):
            await send(gateway, "a__peek", {"text": text})

    listed = run("rules", "--json").stdout.splitlines()
    first, second = (json.loads(line) for line in listed)
    shown = run("rules", "list").stdout.splitlines()

    assert (first["rule"], first["hits"], first["yours"]) == ("gateway.rules[peeks]", 2, True)
    assert first["place"] == f"{user_file()}:2"
    assert (second["number"], second["hits"], second["last_used"]) == (1, 0, None)
    assert "2 hits, last 20" in shown[0]
    assert "never matched" in shown[1]


async def test_a_rule_that_permits_is_written_only_at_a_terminal_and_is_taken_back_by_number_or_name(
    tmp_path: Path,
) -> None:
    write("# mine\n")
    refused = run("rules", "add", "a__echo", cwd=tmp_path)
    assert refused.returncode == 2
    assert "terminal" in refused.stderr

    shown = await typed("rules", "add", "a__echo", "--args", '{"text": "x"}', keys="\n")
    assert "nothing was changed" in shown
    assert user_file().read_text() == "# mine\n"

    shown = await typed("rules", "add", "a__echo", "--args", '{"text": "x"}', keys="y\n")
    assert "written to" in shown
    (rule,) = rules()
    assert rule["when"]["properties"] == {"text": {"const": "x"}}

    assert run("rules", "add", "b__*", "--effect", "deny").returncode == 0  # what forbids needs no terminal
    assert run("rules", "remove", "1").returncode == 2  # and taking it out does
    assert run("rules", "remove", "0").returncode == 0
    assert [rule["effect"] for rule in rules()] == ["deny"]
    assert "Take it out" in await typed("rules", "remove", "0", keys="y\n")
    assert user_file().read_text() == "# mine\n"


async def test_rules_about_a_resource_and_a_prompt_are_added_alike(tmp_path: Path) -> None:
    shown = await typed("rules", "add", "--resource", "a+file:///docs/*", keys="y\n")
    assert "written to" in shown
    assert run("rules", "add", "--prompt", "a__greet", "--effect", "deny").returncode == 0
    first, second = rules()
    assert (first["resources"], first["effect"]) == (["a+file:///docs/*"], "allow")
    assert (second["prompts"], second["effect"]) == (["a__greet"], "deny")
    assert "tools" not in first | second

    for words in (("a__echo", "--prompt", "a__greet"), ("--resource", "a+x:y", "--args", "{}"), ()):
        assert run("rules", "add", *words, cwd=tmp_path).returncode == 2
    assert len(rules()) == 2


def test_a_number_is_no_name_and_a_name_that_several_rules_have_removes_none() -> None:
    text = "".join(
        f'[[gateway.rules]]\nname = "{name}"\ntools = ["{tool}__x"]\neffect = "allow"\n'
        for name, tool in (("1", "a"), ("b", "b"), ("twice", "c"), ("twice", "d"))
    )
    write(text)
    several = run("rules", "remove", "twice")
    assert several.returncode == 2
    assert "2 rules have the name twice" in several.stderr
    assert user_file().read_text() == text

    assert run("rules", "remove", "1").returncode == 0
    assert [rule["tools"] for rule in rules()] == [["a__x"], ["c__x"], ["d__x"]]


async def test_an_always_by_a_clients_form_becomes_a_rule_once_it_is_confirmed(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        async with asked_client(gateway, "legacy", lambda _message: {"decision": "exact"}, []) as client:
            await client.call_tool("a__echo", {"text": "x"})
        (asked,) = gateway.store.read_now(lambda tx: gateway.approvals.recent(tx, 5, 0))

    assert not user_file().exists()
    shown = await typed("rules", "add", "--from", asked.id, keys="y\n")

    assert "written to" in shown
    assert [rule["name"] for rule in rules()] == [asked.id]
    other = run("rules", "add", "--from", asked.id, "--kind", "pattern")
    assert other.returncode == 2
    assert "tool, exact" in other.stderr


async def test_a_question_is_approved_with_a_rule_by_its_id_and_only_with_one_that_it_offers(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        await send(gateway, "a__echo", {"text": "x"})
        (waiting,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
        other = run("approvals", "approve", waiting.id, "--always", "pattern")
        shown = await typed("approvals", "approve", waiting.id, "--always", "exact", keys="y\n")
        done = await send(gateway, "a__echo", {"text": "x"})

    assert "it offers tool, exact" in other.stderr
    assert f"{waiting.id} approved" in shown
    assert not done.is_error
    assert [rule["name"] for rule in rules()] == [waiting.id]


async def test_a_rule_that_cannot_be_written_at_a_terminal_is_on_record(tmp_path: Path) -> None:
    write("[gateway]\nrules = [ ]\n")
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        await send(gateway, "a__echo", {"text": "x"})
        (asked,) = gateway.store.read_now(lambda tx: gateway.approvals.recent(tx, 5, 0))
        shown = await typed("approvals", "approve", asked.id, "--always", "tool", keys="y\n")
        outcomes = [str(record["outcome"]) for record in records(gateway, notes=True)]

    assert "no rule was written" in shown
    assert [outcome for outcome in outcomes if outcome.startswith("rule")] == ["rule added", "rule not written"]
    assert user_file().read_text() == "[gateway]\nrules = [ ]\n"


async def test_what_always_got_a_yes_is_proposed_and_no_more_than_was_seen_where_a_tool_changes_things(
    tmp_path: Path,
) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:

        async def answer(tool: str, text: str, how: str = "approve") -> None:
            first = await send(gateway, tool, {"text": text})
            (waiting,) = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))
            assert first.is_error
            await approve(gateway, waiting.id, how)
            await send(gateway, tool, {"text": text})

        for number in range(3):
            await answer("a__echo", "same")  # changes things, for all that anybody knows
            await answer("a__echo", f"other {number}")
            await answer("a__peek", f"read {number}")  # says that it only reads
        await answer("a__slow", "x", "deny")

    found = [json.loads(line) for line in run("rules", "suggest", "--json").stdout.splitlines()]
    proposed = {tuple(entry["rule"]["tools"]): entry for entry in found}

    assert proposed.keys() == {("a__echo",), ("a__peek",)}
    assert proposed["a__peek",]["asked"] == "asked 3 times, always yes"
    assert "when" not in proposed["a__peek",]["rule"]
    assert proposed["a__echo",]["rule"]["when"]["properties"] == {"text": {"const": "same"}}

    number = proposed["a__echo",]["number"]
    await typed("rules", "suggest", "--add", str(number), keys="y\n")
    left = run("rules", "suggest").stdout
    assert len(rules()) == 1
    assert "a__echo" not in left
    assert "a__peek: asked 3 times, always yes; its server says that it only reads" in left


async def test_a_rule_of_another_file_is_not_touched(tmp_path: Path) -> None:
    setup = make_setup(tmp_path, server("a"), '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\n')
    before = (tmp_path / "gateway.toml").read_bytes()

    refused = run("rules", "remove", "0", "--config", str(tmp_path / "gateway.toml"))

    assert refused.returncode == 2
    assert f"{tmp_path / 'gateway.toml'}:5" in refused.stderr
    assert (tmp_path / "gateway.toml").read_bytes() == before
    assert setup.loaded.rule_places
