"""What clients of both eras see, over stdio and HTTP, from the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as t
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from tests.gateway.rig import (
    ALLOW_ALL,
    alive,
    client_of,
    http_gateway,
    journal,
    program_environment,
    server,
    text_of,
    until,
    write_config,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])


class TextParams(t.CallToolRequestParams):
    """Arguments as some clients send them: one JSON text."""

    arguments: Any = None


class TextCall(t.CallToolRequest):
    """A call with such arguments."""

    params: TextParams


@asynccontextmanager
async def client_over(transport: str, mode: str, config: Path, **options: Any) -> AsyncIterator[Client]:
    if transport == "stdio":
        async with client_of("--config", str(config), mode=mode, **options) as client:
            yield client
        return
    with http_gateway("--config", str(config)) as (url, _process), anyio.fail_after(60):
        async with Client(f"{url}/mcp", mode=mode, **options) as client:
            yield client


@BOTH
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_every_client_lists_calls_and_hears_progress(tmp_path: Path, transport: str, mode: str) -> None:
    config = write_config(tmp_path, server("a"), server("b", "--era", "legacy"), ALLOW_ALL)
    heard: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with client_over(transport, mode, config) as client:
        listed = (await client.list_tools()).tools
        result = await client.call_tool("b__echo", {"text": "hi"})
        await client.call_tool("a__progress", {}, progress_callback=progress)
        as_text = TextCall(params=TextParams(name="b__echo", arguments='{"text": "raw"}'))
        from_text = await client.session.send_request(as_text, t.CallToolResult)

    assert text_of(from_text) == "raw"
    names = [tool.name for tool in listed]
    assert names == sorted(names)
    assert {"a__echo", "b__echo"} <= set(names)
    echo = next(tool for tool in listed if tool.name == "b__echo")
    assert echo.meta is not None
    assert (echo.meta["lg/server"], echo.meta["lg/tool"]) == ("b", "echo")
    assert text_of(result) == "hi"
    assert heard == [1, 2, 3]


@BOTH
async def test_a_refused_call_is_a_result_and_an_unknown_tool_a_protocol_error(tmp_path: Path, mode: str) -> None:
    config = write_config(tmp_path, server("a"), "[approval]\nhold_s = 0\n")
    async with client_of("--config", str(config), mode=mode) as client:
        refused = await client.call_tool("a__echo", {"text": "x"})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("a__nothing", {})

    assert refused.is_error
    assert refused.structured_content["error"]["code"] == "approval_required"
    assert unknown.value.code == t.INVALID_PARAMS


@BOTH
async def test_a_long_list_comes_in_pages_and_a_stale_cursor_is_refused(tmp_path: Path, mode: str) -> None:
    part = "[gateway]\ntools_page_size = 10\n"
    config = write_config(tmp_path, part, server("a", "--filler", "30"), ALLOW_ALL)
    async with client_of("--config", str(config), mode=mode) as client:
        names: list[str] = []
        cursor: str | None = None
        pages = 0
        while pages == 0 or cursor:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor, pages = page.next_cursor, pages + 1
        with pytest.raises(MCPError, match="Invalid cursor"):
            await client.list_tools(cursor="000000000000:10")

    assert pages == 5
    assert len(names) == len(set(names))
    assert sum(name.startswith("a__filler_") for name in names) == 30


async def test_a_changed_list_is_announced_to_a_client_that_listens(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    async with client_of("--config", str(config)) as client, client.listen(tools_list_changed=True) as events:
        await client.call_tool("a__grow", {})
        names: list[str] = []
        while "a__grown" not in names:  # the server's first list may be announced before
            await anext(aiter(events))
            names = [tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools]


async def test_a_changed_list_is_announced_to_a_handshake_client(tmp_path: Path) -> None:
    heard = anyio.Event()

    async def on_message(message: object) -> None:
        if isinstance(message, t.ToolListChangedNotification):
            heard.set()

    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    async with client_of("--config", str(config), mode="legacy", message_handler=on_message) as client:
        await client.call_tool("a__grow", {})
        await heard.wait()


@BOTH
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_call_that_the_client_gives_up_is_cancelled_at_the_server(
    tmp_path: Path, transport: str, mode: str
) -> None:
    log = tmp_path / "journal"
    config = write_config(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL)
    async with client_over(transport, mode, config) as client:
        await client.call_tool("a__echo", {"text": "up"})
        with pytest.raises(MCPError):
            await client.call_tool("a__slow", {}, read_timeout_seconds=2.0)
        await until(lambda: {"cancelled": "slow"} in journal(log))


@BOTH
@pytest.mark.parametrize("era", ["both", "legacy"])
async def test_over_http_a_question_reaches_the_human_of_its_own_call(tmp_path: Path, mode: str, era: str) -> None:
    config = write_config(tmp_path, server("a", "--era", era), ALLOW_ALL)
    said: dict[int, str] = {}

    async def elicit(_context: Any, _params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="accept", content={"colour": "blue"})

    async with client_over("http", mode, config, elicitation_callback=elicit) as client:
        await client.call_tool("a__echo", {"text": "so that the session is known"})

        # Over stdio, a 2025 server does not say which of several calls asks.
        turns = anyio.Semaphore(3 if era == "both" else 1)

        async def ask(rounds: int) -> None:
            async with turns:
                said[rounds] = text_of(await client.call_tool("a__ask", {"rounds": rounds}))

        async with anyio.create_task_group() as tasks:
            for rounds in (1, 2, 3):
                tasks.start_soon(ask, rounds)

    assert said == {rounds: "; ".join(["accept blue"] * rounds) for rounds in (1, 2, 3)}


async def test_a_gateway_that_is_killed_leaves_no_server_behind(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a", "--ignore-eof"), ALLOW_ALL)
    with http_gateway("--config", str(config)) as (url, process), anyio.fail_after(60):
        async with Client(f"{url}/mcp", mode="legacy") as client:
            pid = (await client.call_tool("a__meta", {})).structured_content["pid"]
            left = (await client.call_tool("a__leave_child", {})).structured_content["pid"]
        assert alive(pid)
        assert alive(left)
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: not alive(pid) and not alive(left))


async def test_http_refuses_foreign_hosts_and_origins_and_tells_its_health(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), server("gone", "--exit", "1"), ALLOW_ALL)
    with http_gateway("--config", str(config)) as (url, _process):
        async with httpx2.AsyncClient(timeout=60, base_url=url) as http:
            foreign_host = await http.post("/mcp", json={}, headers={"Host": "evil.example"})
            foreign_origin = await http.post("/mcp", json={}, headers={"Origin": "http://evil.example"})
            health = {"status": ""}
            with anyio.fail_after(60):
                while health["status"] != "degraded":
                    health = (await http.get("/healthz")).json()

    assert foreign_host.status_code == 421
    assert foreign_origin.status_code == 403
    assert health == {"status": "degraded"}


def test_an_address_that_others_can_reach_is_refused_without_a_login(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lg_gateway", "--transport", "http", "--host", "0.0.0.0", "--root", str(tmp_path)],
        capture_output=True,
        text=True,
        env=program_environment(),
    )

    assert done.returncode == 2
    assert "reachable from other machines" in done.stderr


def test_nothing_but_protocol_goes_to_standard_output(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a", "--noise", "2000"), server("gone", "--exit", "1"), ALLOW_ALL)
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
    }
    done = subprocess.run(
        [sys.executable, "-m", "lg_gateway", "--config", str(config), "--log-level", "debug"],
        input=json.dumps(opening) + "\n",
        capture_output=True,
        text=True,
        env=program_environment(),
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0
    assert lines[0]["id"] == 1
    assert all(line["jsonrpc"] == "2.0" for line in lines)
