"""Prompts through the gateway: listed under qualified names, got under policy, recorded like calls."""

from __future__ import annotations

from pathlib import Path

import mcp_types as t
import pytest

from tests.gateway.approvals.support_approvals import approve
from tests.gateway.offers_rig import ALLOW, CLIENTS, NO_HOLD, SERVERS, client_to, offers, offers_over_http, refused
from tests.gateway.rig import gateway_of, journal, records

pytestmark = pytest.mark.anyio


@CLIENTS
@SERVERS
async def test_prompts_are_listed_with_all_they_say_and_got_with_their_messages(
    tmp_path: Path, mode: str, era: str
) -> None:
    log = tmp_path / "journal"
    parts = offers("fx", "--era", era, "--journal", str(log)), ALLOW
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway, mode) as client:
        listed = (await client.list_prompts()).prompts
        got = await client.get_prompt("fx__greet", {"topic": "tea"})
        plain = await client.get_prompt("fx__plain")

    assert [prompt.name for prompt in listed] == ["fx__asks", "fx__big", "fx__greet", "fx__plain"]
    greet = listed[2]
    assert (greet.title, greet.description, greet.meta) == ("Greet", "greets", {"com.example/p": 1})
    assert greet.icons
    assert greet.arguments
    assert (greet.arguments[0].name, greet.arguments[0].required) == ("topic", True)
    assert got.description == "a prompt"
    assert [message.role for message in got.messages] == ["user", "assistant"]
    text, embedded = (message.content for message in got.messages)
    assert isinstance(text, t.TextContent)
    assert text.text == "about tea"
    assert isinstance(embedded, t.EmbeddedResource)
    assert embedded.resource.uri == "fx+test://static"
    assert (got.meta or {})["com.example/g"] == 1
    assert len(plain.messages) == 1
    assert journal(log) == [{"got": "greet", "arguments": {"topic": "tea"}}, {"got": "plain", "arguments": None}]


@CLIENTS
async def test_prompts_of_servers_over_http_and_the_servers_own_errors(tmp_path: Path, mode: str) -> None:
    with offers_over_http() as url:
        setting = f'[gateway.servers.fx]\nurl = "{url}"\n'
        async with gateway_of(tmp_path, setting, ALLOW) as gateway, client_to(gateway, mode) as client:
            got = await client.get_prompt("fx__greet", {"topic": "tea"})
            unknown = (await refused(client.get_prompt("fx__nothing"))).error

    assert got.messages
    assert (unknown.code, unknown.message) == (t.INVALID_PARAMS, "Unknown prompt: fx__nothing")


async def test_getting_a_prompt_is_recorded_with_its_name_and_needs_approval_of_strangers(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    parts = offers("fx", "--journal", str(log)), NO_HOLD
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        error = (await refused(client.get_prompt("fx__greet", {"topic": "tea"}))).error
        assert isinstance(error.data, dict)
        assert error.data["error"]["code"] == "approval_required"
        assert journal(log) == []
        await approve(gateway, error.data["error"]["approval_id"])
        other = (await refused(client.get_prompt("fx__greet", {"topic": "coffee"}))).error
        await client.get_prompt("fx__greet", {"topic": "tea"})
        begun = [record for record in records(gateway) if record["phase"] == "begun"]

    assert error.message.startswith("approval_required: ")
    assert isinstance(other.data, dict)
    assert other.data["error"]["approval_id"] != error.data["error"]["approval_id"]
    (record,) = begun
    assert record["tool"] == "fx:prompts/get"
    assert '"greet"' in record["arguments"]
    assert '"tea"' in record["arguments"]


async def test_rules_of_prompts_see_name_and_arguments_and_hide_what_is_denied(tmp_path: Path) -> None:
    rules = (
        '[[gateway.rules]]\nprompts = ["fx__*"]\neffect = "allow"\n'
        '[gateway.rules.when.properties.arguments.properties.topic]\nconst = "tea"\n'
        '[[gateway.rules]]\nprompts = ["fx__plain"]\neffect = "deny"\n'
    )
    async with gateway_of(tmp_path, offers("fx"), rules, NO_HOLD) as gateway, client_to(gateway) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        await client.get_prompt("fx__greet", {"topic": "tea"})
        other = (await refused(client.get_prompt("fx__greet", {"topic": "x"}))).error
        hidden = (await refused(client.get_prompt("fx__plain"))).error

    assert "fx__plain" not in names
    assert isinstance(other.data, dict)
    assert other.data["error"]["code"] == "approval_required"
    assert hidden.message == "Unknown prompt: fx__plain"
