"""Resources through the gateway: listed under addresses of their own, read under policy, recorded like calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mcp_types as t
import pytest

from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import prepare
from tests.gateway.approvals.support_approvals import approve, yes
from tests.gateway.offers_rig import (
    ALLOW,
    CLIENTS,
    NO_HOLD,
    SERVERS,
    client_to,
    offers,
    offers_over_http,
    refused,
)
from tests.gateway.rig import flags, gateway_of, journal, records

pytestmark = pytest.mark.anyio


@CLIENTS
@SERVERS
async def test_resources_are_listed_with_all_they_say_and_read_by_their_addresses(
    tmp_path: Path, mode: str, era: str
) -> None:
    async with gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway, client_to(gateway, mode) as client:
        listed = (await client.list_resources()).resources
        (template,) = (await client.list_resource_templates()).resource_templates
        read = await client.read_resource("fx+test://static")
        item = await client.read_resource("fx+test://item/9")
        image = await client.read_resource("fx+test://image")
        empty = await client.read_resource("fx+test://empty")

    assert [resource.uri for resource in listed] == ["fx+test://static", "fx+test://watched", "ui://fx/app/view"]
    static = listed[0]
    assert (static.name, static.title, static.mime_type, static.size) == ("static", "Static", "text/plain", 15)
    assert static.icons
    assert static.annotations == t.Annotations(audience=["assistant"], priority=1.0)
    assert static.meta == {"com.example/r": 1}, "only the gateway may say lg/…"
    assert template.uri_template == "fx+test://item/{id}"
    assert template.icons
    (contents,) = read.contents
    assert isinstance(contents, t.TextResourceContents)
    assert (contents.uri, contents.text) == ("fx+test://static", "the static text")
    assert contents.meta == {"com.example/c": 1}
    assert isinstance(item.contents[0], t.TextResourceContents)
    assert item.contents[0].text == "text of test://item/9"
    assert isinstance(image.contents[0], t.BlobResourceContents)
    assert empty.contents == []
    if mode != "legacy":
        assert (read.ttl_ms, read.cache_scope) == (7_000 if era == "both" else 0, "private")


@CLIENTS
async def test_they_come_from_servers_over_http_too(tmp_path: Path, mode: str) -> None:
    with offers_over_http("--filler", "30", "--page", "7") as url:
        setting = f'[gateway.servers.fx]\nurl = "{url}"\n[gateway]\ntools_page_size = 10\n'
        async with gateway_of(tmp_path, setting, ALLOW) as gateway, client_to(gateway, mode) as client:
            found: list[str] = []
            cursor: str | None = None
            while True:
                page = await client.list_resources(cursor=cursor)
                found += [resource.uri for resource in page.resources]
                cursor = page.next_cursor
                if cursor is None:
                    break
            read = await client.read_resource("fx+test://unlisted/1")
            wrong = await refused(client.list_resources(cursor="x:1"))

    assert len(found) == len(set(found)) == 33
    assert read.contents[0].uri == "fx+test://unlisted/1"
    assert wrong.error.code == t.INVALID_PARAMS


@CLIENTS
@SERVERS
async def test_what_a_result_links_to_can_be_read(tmp_path: Path, mode: str, era: str) -> None:
    async with gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway, client_to(gateway, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("fx__link", {})
        link, embedded, text = result.content
        assert isinstance(link, t.ResourceLink)
        assert isinstance(embedded, t.EmbeddedResource)
        assert isinstance(text, t.TextContent)
        read = await client.read_resource(link.uri)
        page = await client.read_resource("ui://fx/app/view")

    assert (link.uri, embedded.resource.uri) == ("fx+test://unlisted/7", "fx+test://unlisted/7")
    assert text.text == "test://unlisted/7", "text stays as the server wrote it"
    assert result.structured_content == {"uri": "test://unlisted/7"}
    assert (result.meta or {})["ui"] == {"resourceUri": "ui://fx/app/view"}
    meta = tools["fx__app"].meta or {}
    assert (meta["ui"], meta["ui/resourceUri"]) == ({"resourceUri": "ui://fx/app/view"}, "ui://fx/app/view")
    assert read.contents[0].uri == "fx+test://unlisted/7"
    assert page.contents[0].uri == "ui://fx/app/view"


@pytest.mark.parametrize(("mode", "code"), [("2026-07-28", -32602), ("legacy", -32002)])
@SERVERS
async def test_what_does_not_exist_is_said_in_the_clients_way_with_the_servers_data(
    tmp_path: Path, mode: str, code: int, era: str
) -> None:
    async with gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway, client_to(gateway, mode) as client:
        error = (await refused(client.read_resource("fx+test://nothing"))).error
        nowhere = (await refused(client.read_resource("no+test://nothing"))).error
        control = (await refused(client.read_resource("fx+test://a\nb"))).error
        ended = records(gateway)[-1]

    assert (error.code, error.message) == (code, "no test://nothing here")
    assert error.data == {"uri": "fx+test://nothing", "why": "gone"}
    assert (nowhere.code, nowhere.data) == (code, {"uri": "no+test://nothing"})
    assert control.code == code
    assert (ended["outcome"], ended["error_code"]) == ("refused", "not_found")


async def test_reading_is_recorded_like_a_call(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        await client.read_resource("fx+test://static")
        begun, ended = records(gateway)

    assert [record["phase"] for record in (begun, ended)] == ["begun", "ended"]
    assert {record["tool"] for record in (begun, ended)} == {"fx:resources/read"}
    assert begun["server"] == "fx"
    assert "test://static" in begun["arguments"]
    assert (ended["outcome"], ended["rule"]) == ("ok", "gateway.rules[0]")


async def test_a_trusted_servers_resources_are_allowed_and_others_need_approval(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    parts = offers("a", trusted=True), offers("b", "--journal", str(log)), NO_HOLD
    async with gateway_of(tmp_path, *parts) as gateway, client_to(gateway) as client:
        await client.read_resource("a+test://static")
        error = (await refused(client.read_resource("b+test://static"))).error
        assert journal(log) == []
        assert error.code == -31_000
        assert isinstance(error.data, dict)
        asked = error.data["error"]
        await approve(gateway, asked["approval_id"])
        read = await client.read_resource("b+test://static")
        again = (await refused(client.read_resource("b+test://static"))).error
        other = (await refused(client.read_resource("b+test://watched"))).error

    assert asked["code"] == "approval_required"
    assert read.contents[0].uri == "b+test://static"
    assert isinstance(again.data, dict), "a yes is used once"
    assert isinstance(other.data, dict)
    assert again.data["error"]["approval_id"] != other.data["error"]["approval_id"]


@CLIENTS
async def test_a_human_is_asked_by_the_client_with_the_whole_address(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []

    async def answer(_context: Any, params: Any) -> t.ElicitResult:
        seen.append(params.message)
        return t.ElicitResult(action="accept", content=yes(params.message))

    async with (
        gateway_of(tmp_path, offers("fx")) as gateway,
        client_to(gateway, mode, elicitation_callback=answer) as client,
    ):
        read = await client.read_resource("fx+test://static")

    assert read.contents[0].uri == "fx+test://static"
    (question,) = seen
    assert question.startswith("Reading a resource needs your approval.\nserver: fx (third party)\n")
    assert '| uri: "test://static"' in question


@CLIENTS
@SERVERS
async def test_a_servers_question_while_a_resource_is_read_is_passed_on(tmp_path: Path, mode: str, era: str) -> None:
    async def answer(_context: Any, params: Any) -> t.ElicitResult:
        assert "server: fx" in params.message
        return t.ElicitResult(action="accept", content={"colour": "blue"})

    async with (
        gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway,
        client_to(gateway, mode, elicitation_callback=answer) as client,
    ):
        (contents,) = (await client.read_resource("fx+test://asks")).contents
        prompt = await client.get_prompt("fx__asks")

    assert isinstance(contents, t.TextResourceContents)
    assert contents.text == "accept blue"
    assert isinstance(prompt.messages[0].content, t.TextContent)
    assert prompt.messages[0].content.text == "accept blue"


async def test_a_resource_larger_than_a_result_may_be_is_cut_and_says_how_to_read_on(tmp_path: Path) -> None:
    """A prompt, of which no part makes sense, is refused, and so is what is not text."""
    limit = "[gateway]\nresult_max_bytes = 100_000\n"
    async with gateway_of(tmp_path, limit, offers("fx"), ALLOW) as gateway, client_to(gateway) as client:
        beginning, note = (await client.read_resource("fx+test://big")).contents
        prompt = (await refused(client.get_prompt("fx__big"))).error
        assert isinstance(beginning, t.TextResourceContents)
        assert isinstance(note, t.TextResourceContents)
        found = re.search(r"result_id='(re-[0-9a-f]+)'", note.text)
        assert found is not None
        rest = await client.call_tool("mcp_result", {"result_id": found[1], "offset": len(beginning.text), "limit": 5})

    assert 90_000 < len(beginning.text) < 100_000
    assert beginning.uri == note.uri == "fx+test://big"
    assert not rest.is_error
    assert isinstance(prompt.data, dict)
    assert prompt.data["error"]["code"] == "too_large"


async def test_secrets_in_a_strangers_resource_are_masked(tmp_path: Path) -> None:
    uri = "test://key/ghp_" + "a1B2" * 9
    async with gateway_of(tmp_path, offers("fx", "--uri", uri), ALLOW) as gateway, client_to(gateway) as client:
        (contents,) = (await client.read_resource(f"fx+{uri}")).contents

    assert isinstance(contents, t.TextResourceContents)
    assert "ghp_a1B2" not in contents.text


@CLIENTS
async def test_files_of_our_own_server_are_read_and_hidden_where_reading_them_is(tmp_path: Path, mode: str) -> None:
    root = tmp_path / "root"
    (root / "secrets").mkdir(parents=True)
    (root / "a.txt").write_text("hello")
    (root / "secrets" / "b.txt").write_text("hidden")
    rule = (
        '[gateway.servers.fs]\nbuiltin = "fs"\n[[gateway.rules]]\ntools = ["fs__read_file"]\neffect = "deny"\n'
        '[gateway.rules.when.properties.path]\npattern = "^secrets/"\n'
    )
    config = tmp_path / "gateway.toml"
    config.write_text(rule)
    setup = prepare(flags(config=config, root=root), mcp_json=None)
    async with running_gateway(setup) as gateway, client_to(gateway, mode) as client:
        await gateway.settled()
        (template,) = (await client.list_resource_templates()).resource_templates
        (contents,) = (await client.read_resource(f"fs+file://{root}/a.txt")).contents
        denied = [
            await refused(client.read_resource(f"fs+{uri}"))
            for uri in (
                f"file://{root}/secrets/b.txt",
                "file:///secrets/b.txt",
                "FILE:///secrets/b.txt",
                "file:///%73ecrets/b.txt",
                "file://localhost/./secrets//b.txt",
            )
        ]

    assert template.uri_template == "fs+file:///{+path}"
    assert isinstance(contents, t.TextResourceContents)
    assert contents.text == "hello"
    assert {error.error.data["error"]["code"] for error in denied if isinstance(error.error.data, dict)} == {
        "policy_denied"
    }
