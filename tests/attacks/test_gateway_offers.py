"""Attempts by servers and callers with resources and prompts: floods, lies about addresses, other spellings, names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest

from lg_gateway.catalog.offer import RESOURCES_PER_SERVER
from tests.gateway.offers_rig import ALLOW, NO_HOLD, client_to, offers, refused
from tests.gateway.rig import gateway_of, journal, records, server

pytestmark = pytest.mark.anyio


def code(error: Any) -> str:
    return str(error.error.data["error"]["code"]) if isinstance(error.error.data, dict) else error.error.message


@pytest.mark.attack("Servers", "10,000 resources, and URIs with control characters, without end, or empty")
async def test_a_flood_of_resources_and_odd_uris_are_left_out(tmp_path: Path) -> None:
    odd = ["test://a\nb", "test://\x1b[2J", "", "x" * 5_000, "test://fine"]
    flood = offers("fx", "--filler", "10000", *(word for uri in odd for word in ("--uri", uri)))
    few = offers("gy", *(word for uri in odd for word in ("--uri", uri)))
    async with gateway_of(tmp_path, flood, few, ALLOW) as gateway, client_to(gateway) as client:
        held = len(gateway.catalog.offers.resources())
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        names = [offered.own for offered in gateway.catalog.offers.resources() if offered.facts.server == "gy"]
        read = await client.read_resource("fx+test://filler/9999".replace("filler", "unlisted"))

    assert held <= RESOURCES_PER_SERVER + 10
    assert len(listed) == 500
    assert names == ["test://fine", "test://static", "test://watched", "ui://app/view"]
    assert read.contents


@pytest.mark.attack("Servers", "contents, links and app pages that claim another server's address")
@pytest.mark.parametrize("naming", ["prefix", "none"])
async def test_a_server_cannot_speak_under_anothers_address(tmp_path: Path, naming: str) -> None:
    lies = ("gy+test://static", "ui://gy/app/view", "GY+test://static")
    for lie in lies:
        parts = offers("fx", "--lie", lie, naming=naming), offers("gy"), ALLOW
        async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
            (contents,) = (await client.read_resource("fx+test://lies")).contents
            link = (await client.call_tool("fx__link", {"uri": lie})).content[0]
            owners = {gateway.catalog.offers.addresses.own(uri) for uri in (contents.uri, getattr(link, "uri", ""))}
        assert owners == {("fx", lie)}, lie


@pytest.mark.attack("Servers", 'a server with `naming = "none"` whose tools are named like those of others')
async def test_a_name_without_prefix_takes_nobody_elses(tmp_path: Path) -> None:
    one, other = offers("aa", naming="none"), offers("bb", naming="none")
    allowed = '[[gateway.rules]]\ntools = ["bb__*"]\neffect = "allow"\n'
    async with gateway_of(tmp_path, one, other, server("a"), allowed, NO_HOLD) as gateway, client_to(gateway) as client:
        tools = {tool.name: (tool.meta or {})["lg/server"] for tool in (await client.list_tools()).tools if tool.meta}
        asked = await client.call_tool("link", {})
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]

    assert tools["link"] == "aa", "the first by name"
    assert "a__echo" in tools
    assert asked.is_error, "the rule about bb does not count for the tool of aa that has the same name"
    assert (asked.structured_content or {})["error"]["code"] == "approval_required"
    assert prompts == ["asks", "big", "greet", "plain"]


@pytest.mark.attack("Rules", "a denied resource under other spellings of its URI, and through subscriptions")
async def test_a_denied_resource_is_denied_however_its_uri_is_spelled(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    rules = '[[gateway.rules]]\nresources = ["fx+test://secret/*"]\neffect = "deny"\nwhen = { required = ["uri"] }\n'
    tries = [
        "fx+test://secret/a", "FX+test://secret/a", "fx+TEST://secret/a", "fx+test://SECRET/a", "fx+test://%73ecret/a",
        "fx+test://%2573ecret/a", "fx+test://item/../secret/a", "fx+test://secret//a", "fx+test://secret/./a",
        "fx+test://secret/a?x", "fx+test://secret/a#x", "fx+test:\\\\secret\\a", "fx+test://\uff53ecret/a",
    ]  # fmt: skip
    parts = offers("fx", "--journal", str(log), trusted=True), rules
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        answers = {uri: code(await refused(client.read_resource(uri))) for uri in tries if "/../" not in uri}
        up = code(await refused(client.read_resource("fx+test://secret/../secret/a")))
        async with client.listen(resource_subscriptions=tries) as stream:
            taken = stream.honored.resource_subscriptions or []
        asked = journal(log)
        outcomes = {record["error_code"] for record in records(gateway) if record["outcome"] == "refused"}

    assert set(answers.values()) == {"policy_denied"}, answers
    assert up == "policy_denied"
    assert taken in ([], ["fx+test://item/../secret/a"])
    assert asked == []
    assert outcomes == {"policy_denied"}


@pytest.mark.attack("Servers", "prompts of two million characters, and definitions that change with every list")
async def test_large_prompts_are_refused_and_changing_ones_held_back(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        with anyio.fail_after(60):
            large = code(await refused(client.get_prompt("fx__big")))
        kept = records(gateway)[-1]

    assert large == "too_large"
    assert kept["outcome"] == "error"
    assert len(json.dumps(kept)) < 5_000


@pytest.mark.attack("Callers", "a yes to one resource used for another, and a question about a resource answered twice")
async def test_a_yes_to_one_resource_is_none_to_another(tmp_path: Path) -> None:
    log = tmp_path / "journal"

    async def first_round(client: Any, uri: str, **more: Any) -> Any:
        return await client.session.read_resource(uri, allow_input_required=True, **more)

    async def nobody(_context: Any, _params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="cancel")

    async with (
        gateway_of(tmp_path, offers("fx", "--journal", str(log))) as gateway,
        client_to(gateway, elicitation_callback=nobody) as client,
    ):
        question = await first_round(client, "fx+test://static")
        (key,) = question.input_requests
        yes = {key: t.ElicitResult(action="accept", content={"decision": "once"})}
        state = question.request_state
        stolen = [
            await _outcome(first_round(client, uri, input_responses=yes, request_state=state))
            for uri in ("fx+test://watched", "fx+test://secret/a")
        ]
        read = await first_round(client, "fx+test://static", input_responses=yes, request_state=state)
        again = await _outcome(first_round(client, "fx+test://static", input_responses=yes, request_state=state))

    assert "read" not in stolen
    assert isinstance(read, t.ReadResourceResult)
    assert again != "read"
    assert journal(log) == [{"read": "test://static"}]


async def _outcome(reading: Any) -> str:
    from mcp.shared.exceptions import MCPError

    try:
        answer = await reading
    except MCPError as error:
        return error.error.message
    return "read" if isinstance(answer, t.ReadResourceResult) else "asked"
