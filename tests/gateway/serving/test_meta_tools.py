"""Three tools instead of many: find, call, read on. Rules act on the inner tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.approvals.support_approvals import asked_client, yes
from tests.gateway.rig import ALLOW_ALL, gateway_of, records, server, text_of

pytestmark = pytest.mark.anyio
SEARCH = '[gateway]\nexpose = "search"\n'
BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])


@BOTH
async def test_with_search_a_client_lists_three_tools_finds_one_and_calls_it(tmp_path: Path, mode: str) -> None:
    async with (
        gateway_of(tmp_path, SEARCH, server("a", "--filler", "40"), ALLOW_ALL) as gateway,
        asked_client(gateway, mode, yes, []) as client,
    ):
        listed = [tool.name for tool in (await client.list_tools()).tools]
        found = await client.call_tool("mcp_discover", {"query": "echo", "limit": 3})
        name = found.structured_content["tools"][0]["name"]
        result = await client.call_tool("mcp_execute", {"tool": name, "arguments": {"text": "hi"}})
        begun = next(record for record in records(gateway) if record["phase"] == "begun")

    assert listed == ["mcp_discover", "mcp_execute", "mcp_result"]
    assert name == "a__echo"
    assert found.structured_content["tools"][0]["inputSchema"]["required"] == ["text"]
    assert text_of(result) == "hi"
    assert (begun["tool"], begun["arguments"]) == ("a__echo", '{"text": "hi"}')


@BOTH
async def test_an_inner_call_is_asked_about_and_checked_like_a_direct_one(tmp_path: Path, mode: str) -> None:
    seen: list[str] = []
    deny = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "deny"\n'

    def run(tool: str, **arguments: Any) -> dict[str, Any]:
        return {"tool": tool, "arguments": arguments}

    async with (
        gateway_of(tmp_path, SEARCH, server("a"), deny) as gateway,
        asked_client(gateway, mode, yes, seen) as client,
    ):
        asked = await client.call_tool("mcp_execute", run("a__echo", text="hi"))
        wrong = await client.call_tool("mcp_execute", run("a__echo", txt="hi"))
        hidden = await client.call_tool("mcp_execute", run("a__peek", text="hi"))
        itself = await client.call_tool("mcp_execute", run("mcp_execute"))
        found = await client.call_tool("mcp_discover", {"query": "peek"})

    assert text_of(asked) == "hi"
    assert "tool: echo" in seen[0]
    codes = [answer.structured_content["error"]["code"] for answer in (wrong, hidden, itself)]
    assert codes == ["invalid_arguments", "not_found", "invalid_arguments"]
    assert found.structured_content["total"] == 0


async def test_hits_come_in_pages_and_by_server(tmp_path: Path) -> None:
    parts = (SEARCH, server("a", "--filler", "12"), server("b"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway, asked_client(gateway, "2026-07-28", yes, []) as client:
        names: list[str] = []
        offset: int | None = 0
        while offset is not None:
            found = await client.call_tool("mcp_discover", {"query": "filler", "limit": 5, "offset": offset})
            names += [tool["name"] for tool in found.structured_content["tools"]]
            offset = found.structured_content["next_offset"]
        of_b = await client.call_tool("mcp_discover", {"query": "echo", "server": "b"})

    assert len(set(names)) == len(names) == 12
    assert [tool["name"] for tool in of_b.structured_content["tools"]] == ["b__echo"]


async def test_the_rest_of_a_cut_answer_is_read_on_by_its_own_caller_only(tmp_path: Path) -> None:
    small = "[gateway]\nresult_max_bytes = 10_000\n"
    async with gateway_of(tmp_path, small, server("a"), ALLOW_ALL) as gateway:
        async with asked_client(gateway, "2026-07-28", yes, []) as client:
            cut = await client.call_tool("a__big", {})
            assert cut.meta is not None
            result_id = cut.meta["lg/cut"]["result_id"]
            text, offset = "", 0
            while offset is not None:
                more = await client.call_tool("mcp_result", {"result_id": result_id, "offset": offset, "limit": 50_000})
                text += text_of(more).partition("\n[cut:")[0]
                offset = more.structured_content["next_offset"]
        async with asked_client(gateway, "2026-07-28", yes, [], identity="local:other") as other:
            foreign = await other.call_tool("mcp_result", {"result_id": result_id})

    assert text == "x" * 300_000
    assert foreign.structured_content["error"]["code"] == "not_found"


async def test_only_the_rest_of_what_an_untrusted_server_said_is_marked_as_data(tmp_path: Path) -> None:
    small = "[gateway]\nresult_max_bytes = 10_000\n"
    marks = []
    async with (
        gateway_of(tmp_path, small, server("a"), server("b", trusted=True), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", yes, []) as client,
    ):
        for tool in ("a__big", "b__big"):
            cut = await client.call_tool(tool, {})
            assert cut.meta is not None
            more = await client.call_tool("mcp_result", {"result_id": cut.meta["lg/cut"]["result_id"]})
            marks.append((cut.meta.get("lg/untrusted"), (more.meta or {}).get("lg/untrusted")))

    assert marks == [(True, True), (None, None)]
