"""Named sets of tools: who lists and calls what under which name, and that nothing but names changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.shared.exceptions import MCPError

from lg_gateway.serving.server import Frontend
from lg_gateway.serving.setup import prepare
from lg_policy.config.loading import load_settings
from lg_policy.errors import ConfigError
from lg_policy.wire.call_metadata import EFFECT
from tests.gateway.rig import ALLOW_ALL, flags, gateway_of, records, send, server, text_of, write_config

pytestmark = pytest.mark.anyio

REVIEW = """
[gateway.profiles.review]
tools = ["a__*"]
rename = { "a__echo" = "say" }
describe = { "a__echo" = "Says it again." }
identities = ["local:me/*"]
"""


async def listed(gateway: Any, identity: str) -> dict[str, Any]:
    built = Frontend(gateway, identify=lambda _ctx: identity).build()
    async with Client(built) as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


async def test_a_caller_sees_its_profiles_tools_under_their_new_names_and_others_see_all(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), server("b"), REVIEW) as gateway:
        own, others = await listed(gateway, "local:me/cursor"), await listed(gateway, "local:me")

    assert {name for name in own if name != "mcp_result"} == {
        {"a__echo": "say"}.get(name, name) for name in others if name.startswith("a__")
    }
    assert own["say"].description == "Says it again."
    assert own["say"].input_schema == others["a__echo"].input_schema
    assert any(name.startswith("b__") for name in others)


async def test_a_renamed_tool_is_called_by_its_new_name_and_recorded_under_its_own(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), server("b"), REVIEW, ALLOW_ALL) as gateway:
        answer = await send(gateway, "say", {"text": "hello"}, identity="local:me/cursor")
        called = records(gateway)
        for name in ("a__echo", "b__echo"):
            with pytest.raises(MCPError, match="Unknown tool"):
                await send(gateway, name, {"text": "x"}, identity="local:me/cursor")
        with pytest.raises(MCPError, match="Unknown tool"):
            await send(gateway, "say", {"text": "x"}, identity="local:me")

    assert text_of(answer) == "hello"
    assert {record["tool"] for record in called} == {"a__echo"}


async def test_a_profile_permits_nothing_and_a_name_that_was_given_away_is_gone(tmp_path: Path) -> None:
    profile = '[gateway]\nprofile = "p"\n[gateway.profiles.p]\ntools = ["*"]\nrename = { "a__echo" = "b__echo" }\n'
    deny = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "deny"\n'
    async with gateway_of(tmp_path, profile, server("a"), server("b"), deny, "[approval]\nhold_s = 0\n") as gateway:
        names = await listed(gateway, "local:me")
        refused = await send(gateway, "b__echo", {"text": "x"})
        with pytest.raises(MCPError):
            await send(gateway, "a__peek", {"text": "x"})

    assert "a__peek" not in names
    assert names["b__echo"].meta["lg/server"] == "a"
    assert refused.structured_content["error"]["code"] == "approval_required"
    assert "a__echo" in text_of(refused)


async def test_found_tools_have_the_profiles_names_and_are_called_by_them(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), server("b"), REVIEW, ALLOW_ALL) as gateway:
        built = Frontend(gateway, identify=lambda _ctx: "local:me/x").build()
        async with Client(built) as client:
            found = await client.call_tool("mcp_discover", {"query": "says again"})
            names = [tool["name"] for tool in found.structured_content["tools"]]
            done = await client.call_tool("mcp_execute", {"tool": "say", "arguments": {"text": "hi"}})

    assert "say" in names
    assert not [name for name in names if name.startswith("b__")]
    assert text_of(done) == "hi"


async def test_each_listed_tool_says_what_happens_to_its_calls_and_its_pin_does_not_change(tmp_path: Path) -> None:
    rules = (
        '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "allow"\n'
        '[[gateway.rules]]\ntools = ["a__wait"]\neffect = "deny"\n'
        '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\nwhen = { properties = { text = { const = "x" } } }\n'
    )
    async with gateway_of(tmp_path, server("a"), rules) as gateway:
        seen = await listed(gateway, "local:me")
        digests = {entry.listed.name: entry.definition_digest for entry in gateway.pipeline.decisions.tools("local:me")}
        kept = {entry.name: entry.definition_digest for entry in gateway.catalog.entries()}

    assert seen["a__peek"].meta[EFFECT] == "allow"
    assert seen["a__echo"].meta[EFFECT] == "depends"
    assert "a__wait" not in seen
    assert "approve" in {tool.meta[EFFECT] for name, tool in seen.items() if name != "mcp_result"}
    assert digests.items() <= kept.items()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[gateway]\nprofile = "x"\n', "gateway.profiles has none"),
        ('[gateway.profiles.p]\ntools = []\nrename = { a = "x", b = "x" }\n', "same name"),
        ('[gateway.profiles.p]\ntools = []\nrename = { a = "x y" }\n', "rename"),
        ('[gateway.profiles.p]\ntools = []\nrename = { a = "mcp_execute" }\n', "gateway's own"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_settings(config=tmp_path / "c.toml")
    assert said in json.dumps(caught.value.text())


async def test_two_profiles_that_give_two_tools_one_name_keep_each_callers_schema_apart(tmp_path: Path) -> None:
    both = "".join(
        f'[gateway.profiles.{name}]\ntools = ["*"]\nrename = {{ {tool} = "say" }}\nidentities = ["token:{name}"]\n'
        for name, tool in (("one", "a__echo"), ("two", "a__nap"))
    )
    async with gateway_of(tmp_path, both, server("a"), ALLOW_ALL) as gateway:
        found = {}
        schema = Frontend(gateway, identify=lambda _ctx: "").build().get_tool_input_schema
        assert schema is not None
        for name in ("one", "two"):
            access = AccessToken(token="t", client_id="c", scopes=[], claims={"identity": f"token:{name}"})
            known = auth_context_var.set(AuthenticatedUser(access))
            found[name] = schema("say")
            auth_context_var.reset(known)
        assert schema("say") is None, "the user of this machine has no such tool"
        assert found == {"one": gateway.catalog.schema("a__echo"), "two": gateway.catalog.schema("a__nap")}
        assert found["one"] != found["two"]


async def test_a_call_of_a_server_that_nobody_has_says_so_and_tells_nothing_of_a_hidden_one(tmp_path: Path) -> None:
    deny = '[[gateway.rules]]\ntools = ["b__*"]\neffect = "deny"\n'
    async with gateway_of(tmp_path, server("a"), server("b"), ALLOW_ALL, deny) as gateway:
        said = []
        for name in ("code__find", "b__echo", "a__none"):
            with pytest.raises(MCPError) as refused:
                await send(gateway, name, {})
            said.append(refused.value.error.message)

    assert "nothing of a server code is offered here" in said[0].replace('"', "")
    assert said[1].replace("b__echo", "code__find").replace('"b"', '"code"') == said[0]
    assert said[2] == "Unknown tool: a__none"


async def test_a_flag_chooses_the_set_of_this_gateway_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), REVIEW)
    chosen = prepare(flags(config=config, tools="review"), mcp_json=None)

    assert chosen.settings.gateway.profile == "review"
    assert prepare(flags(config=config), mcp_json=None).settings.gateway.profile == ""
    with pytest.raises(ConfigError, match=r"gateway\.profiles has review"):
        prepare(flags(config=config, tools="none"), mcp_json=None)
    with pytest.raises(ConfigError, match="--tools names no profile"):
        prepare(flags(config=config, tools=""), mcp_json=None)
