"""Answers that are kept: for the session, as a rule at once, or as a rule once a human confirms it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as t
import pytest
from mcp.client import Client

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.reload import Reloader
from lg_gateway.serving.server import Frontend
from lg_gateway.serving.setup import prepare
from tests.gateway.approvals.support_approvals import APPROVE
from tests.gateway.offers_rig import offers
from tests.gateway.rig import flags, gateway_of, records, send, server, text_of, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

WRITE = '[approval]\nform_always = "write"\n'
OFF = '[approval]\nform_always = "off"\n'


def user_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml"


@asynccontextmanager
async def client_of(
    gateway: Gateway, decision: str, forms: list[dict[str, Any]], mode: str = "legacy", session: str = "s1"
) -> AsyncIterator[Client]:
    """A client on stdio whose human gives always the same answer."""

    async def by_form(_context: Any, params: Any) -> t.ElicitResult:
        forms.append(params.requested_schema["properties"]["decision"])
        return t.ElicitResult(action="accept", content={"decision": decision})

    answer: Any = by_form
    built = Frontend(gateway, identify=lambda _ctx: "local:me", session=session).build()
    async with Client(built, mode=mode, elicitation_callback=answer) as client:
        yield client


def notes(gateway: Gateway) -> list[dict[str, Any]]:
    return [record for record in records(gateway, notes=True) if str(record["outcome"]).startswith("rule")]


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_for_the_session_the_tool_is_not_asked_about_again_and_another_session_is(
    tmp_path: Path, mode: str
) -> None:
    forms: list[dict[str, Any]] = []
    async with gateway_of(tmp_path, server("a")) as gateway:
        async with client_of(gateway, "session", forms, mode) as client:
            for text in ("one", "two"):
                assert text_of(await client.call_tool("a__echo", {"text": text})) == text
            assert len(forms) == 1
            await client.call_tool("a__peek", {"text": "x"})
        async with client_of(gateway, "session", forms, mode, session="s2") as client:
            await client.call_tool("a__echo", {"text": "three"})

    assert len(forms) == 3
    assert not user_file().exists()


@pytest.mark.parametrize(("decision", "asked"), [("tool", 1), ("exact", 2)])
async def test_always_by_a_form_counts_for_the_session_and_writes_nothing_until_it_is_confirmed(
    tmp_path: Path, decision: str, asked: int
) -> None:
    forms: list[dict[str, Any]] = []
    async with gateway_of(tmp_path, server("a")) as gateway:
        async with client_of(gateway, decision, forms) as client:
            for text in ("one", "one", "two"):
                await client.call_tool("a__echo", {"text": text})
        proposed = notes(gateway)[0]
        (_, again, *_) = [record for record in records(gateway) if record["phase"] == "begun"]
        assert len(forms) == asked
        async with client_of(gateway, decision, forms, session="s2") as client:
            await client.call_tool("a__echo", {"text": "one"})

    assert len(forms) == asked + 1
    assert again["approval_id"] == f"sr-{proposed['approval_id'][3:]}"
    assert "once you confirm it at a terminal" in forms[0]["description"]
    assert proposed["outcome"] == "rule proposed"
    assert proposed["approval_id"].startswith("ap-")
    assert not user_file().exists()


@pytest.mark.parametrize(("decision", "later"), [("tool", 1), ("exact", 2)])
async def test_where_forms_may_write_the_rule_is_in_the_settings_at_once_and_counts_for_the_next_call(
    tmp_path: Path, decision: str, later: int
) -> None:
    forms: list[dict[str, Any]] = []
    config = write_config(tmp_path, server("a"), WRITE)
    async with gateway_of(tmp_path, server("a"), WRITE) as gateway, client_of(gateway, decision, forms) as client:
        gateway.look_at_settings = Reloader(gateway, lambda: prepare(flags(config=config), mcp_json=None)).refresh
        await client.call_tool("a__echo", {"text": "x"})
        await client.call_tool("a__echo", {"text": "x"})
        assert len(forms) == 1
        await client.call_tool("a__echo", {"text": "y"})
        added = notes(gateway)[0]
        last = [record for record in records(gateway) if record["phase"] == "begun"][1]

    rule, *_ = tomllib.loads(user_file().read_text())["gateway"]["rules"]
    assert len(forms) == later
    assert added["outcome"] == "rule added"
    assert rule["name"] == added["approval_id"]
    assert last["rule"] == f"gateway.rules[{rule['name']}]"
    assert last["approval_id"] is None


async def test_a_rule_that_asks_offers_no_answer_for_always_and_neither_does_the_setting(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = []
    for number, part in enumerate((APPROVE, OFF)):
        (tmp_path / str(number)).mkdir()
        async with (
            gateway_of(tmp_path / str(number), server("a"), part) as gateway,
            client_of(gateway, "tool", forms) as client,
        ):
            result = await client.call_tool("a__echo", {"text": "x"})
            assert result.structured_content["error"]["code"] == "approval_denied"

    assert [form["enum"] for form in forms] == [["once", "session", "deny"]] * 2


async def test_a_settings_file_that_cannot_be_written_fails_no_call_and_is_on_record(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = []
    user_file().parent.mkdir(parents=True)
    user_file().write_text("[gateway]\nrules = [ ]\n")
    async with gateway_of(tmp_path, server("a"), WRITE) as gateway, client_of(gateway, "tool", forms) as client:
        assert text_of(await client.call_tool("a__echo", {"text": "x"})) == "x"
        outcomes = [note["outcome"] for note in notes(gateway)]

    assert outcomes == ["rule added", "rule not written"]
    assert user_file().read_text() == "[gateway]\nrules = [ ]\n"


async def test_our_own_terminal_writes_and_a_caller_under_a_token_is_offered_nothing(tmp_path: Path) -> None:
    asked: list[Any] = []

    async def ask(_message: str, schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        asked.append(schema["properties"]["decision"]["enum"])
        return "accept", {"decision": "tool"}

    async with gateway_of(tmp_path, server("a")) as gateway:
        await send(gateway, "a__echo", {"text": "x"}, identity="bob", asking="live", ask=ask)
        assert not user_file().exists()
        await send(gateway, "a__echo", {"text": "y"}, asking="live", ask=ask, at_terminal=True)

    assert asked == [["once", "deny"], ["once", "tool", "exact", "deny"]]
    assert 'identities = ["local:me"]' in user_file().read_text()


async def test_one_answer_allows_all_tools_of_a_server_that_say_they_only_read_and_no_other(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = []
    async with gateway_of(tmp_path, server("a")) as gateway, client_of(gateway, "reads", forms) as client:
        reading = [entry for entry in gateway.catalog.entries() if entry.facts.read_only]
        assert len(reading) > 1
        await client.call_tool("a__peek", {"text": "x"})
        (words,) = [part for part in forms[0]["enumNames"] if "only read" in part]
        await client.call_tool("a__peek", {"text": "y"})
        assert len(forms) == 1
        await client.call_tool("a__echo", {"text": "x"})

    assert f"the {len(reading)} tools of this server that it says only read" in words
    assert len(forms) == 2
    assert "reads" not in forms[1]["enum"]


@pytest.mark.parametrize(
    "secret", ['pa"ss-word-of-the-database', "back\\slash-of-the-database", "plain-of-the-database"]
)
async def test_a_secret_of_the_settings_is_in_no_rule_however_json_writes_it(tmp_path: Path, secret: str) -> None:
    forms: list[dict[str, Any]] = []
    given = f"[gateway.servers.a.env]\nDATABASE_PASSWORD = {json.dumps(secret)}\n"
    async with (
        gateway_of(tmp_path, server("a"), given) as gateway,
        client_of(gateway, "deny", forms) as client,
    ):
        for text in (secret, f"to {secret}", "anything else"):
            await client.call_tool("a__echo", {"text": text})

    assert ["exact" in form["enum"] for form in forms] == [False, False, True]


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_always_for_a_resource_and_a_prompt_is_written_and_spares_the_next_question(
    tmp_path: Path, mode: str
) -> None:
    forms: list[dict[str, Any]] = []
    config = write_config(tmp_path, offers("fx"), WRITE)
    async with gateway_of(tmp_path, offers("fx"), WRITE) as gateway, client_of(gateway, "tool", forms, mode) as client:
        gateway.look_at_settings = Reloader(gateway, lambda: prepare(flags(config=config), mcp_json=None)).refresh
        for _ in range(2):
            await client.read_resource("fx+test://static")
            await client.get_prompt("fx__greet", {"topic": "x"})
        await client.read_resource("fx+test://watched")

    rules = tomllib.loads(user_file().read_text())["gateway"]["rules"]
    assert [form["enumNames"][2] for form in forms] == [
        "Always allow this resource", "Always allow this prompt", "Always allow this resource",
    ]  # fmt: skip
    assert [rule.get("resources") or rule.get("prompts") for rule in rules] == [
        ["fx+test://static"], ["fx__greet"], ["fx+test://watched"],
    ]  # fmt: skip
    assert [list(rule.get("pins", ())) for rule in rules] == [[], ["fx__greet"], []]


async def test_a_resource_that_a_client_allows_for_good_counts_for_its_session_only(tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = []
    async with gateway_of(tmp_path, offers("fx")) as gateway:
        async with client_of(gateway, "pattern", forms) as client:
            for uri in ("fx+test://static", "fx+test://watched"):
                await client.read_resource(uri)
        async with client_of(gateway, "pattern", forms, session="s2") as client:
            await client.read_resource("fx+test://static")

    assert len(forms) == 2
    assert 'resources of this server below "test://**", from now on' in forms[0]["description"]
    assert not user_file().exists()
