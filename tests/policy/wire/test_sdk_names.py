"""A version of the SDK without a name that the direct ways use is served the SDK's own way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as t
import pytest
from mcp.server import Server

from lg_policy.wire.direct_posts import DirectPosts
from lg_policy.wire.sdk_names import MANAGER
from tests.policy.wire.direct_messages import ENVELOPE

pytestmark = pytest.mark.anyio
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream", "host": "127.0.0.1:80"}


class Without:
    """An object of the SDK that lacks some names."""

    def __init__(self, whole: Any, hidden: tuple[str, ...]) -> None:
        self._whole = whole
        self._hidden = hidden

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(name)
        return getattr(self._whole, name)


class OtherVersion(Server[Any]):
    """The SDK's server, whose session manager lacks some names."""

    hidden: tuple[str, ...] = ()

    @property
    def session_manager(self) -> Any:
        return Without(super().session_manager, self.hidden)


@asynccontextmanager
async def posting(hidden: tuple[str, ...]) -> AsyncIterator[tuple[httpx2.AsyncClient, list[str]]]:
    """A client of such a server, and the requests that went the SDK's own way."""

    async def call_tool(_ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult:
        return t.CallToolResult(content=[t.TextContent(type="text", text=params.name)])

    server = OtherVersion("other", on_call_tool=call_tool, get_tool_input_schema=lambda _name: None)
    server.hidden = hidden
    usual, seen = server.streamable_http_app(host="127.0.0.1"), list[str]()

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["method"])
        await usual(scope, receive, send)

    app = DirectPosts(counted, server, hosts=["127.0.0.1:*"], login=None, scopes=(), more=[])
    async with server.session_manager.run():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:80", headers=HEADERS) as client:
            yield client, seen


async def said(client: httpx2.AsyncClient, method: str, params: dict[str, Any], **headers: str) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return await client.post("/mcp", content=json.dumps(body), headers=headers)


@pytest.mark.parametrize(("hidden", "usual"), [((), 0), (("_lifespan_state",), 2)], ids=["as it is", "without"])
async def test_a_call_of_2026_is_answered_without_the_names(hidden: tuple[str, ...], usual: int) -> None:
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "x"}
    async with posting(hidden) as (client, seen):
        for _ in range(2):
            answer = await said(client, "tools/call", {"name": "x", "arguments": {}, "_meta": ENVELOPE}, **headers)
            assert '"text":"x"' in answer.text

        assert len(seen) == usual


@pytest.mark.parametrize(("hidden", "usual"), [((), 1), (MANAGER, 2)], ids=["as it is", "without"])
async def test_a_call_in_a_session_of_2025_is_answered_without_the_names(hidden: tuple[str, ...], usual: int) -> None:
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "tester", "version": "1"}}
    async with posting(hidden) as (client, seen):
        opened = await said(client, "initialize", about)
        session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await client.post("/mcp", content=json.dumps(notice), headers=session)
        seen.clear()
        for _ in range(2):
            answer = await said(client, "tools/call", {"name": "x", "arguments": {}}, **session)
            assert '"text":"x"' in answer.text

        assert len(seen) == usual
