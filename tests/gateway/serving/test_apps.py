"""Servers hear that a client shows pages of tools (`io.modelcontextprotocol/ui`), and other clients see no less."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID

from tests.gateway.offers_rig import ALLOW, CLIENTS, SERVERS, client_to, offers
from tests.gateway.rig import gateway_of

pytestmark = pytest.mark.anyio
PAGES = [advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]


@CLIENTS
@SERVERS
async def test_a_client_that_shows_pages_gets_the_tools_that_only_pages_call(
    tmp_path: Path, mode: str, era: str
) -> None:
    async with gateway_of(tmp_path, offers("fx", "--era", era), ALLOW) as gateway:
        async with client_to(gateway, mode, extensions=PAGES) as client:
            shown = {tool.name for tool in (await client.list_tools()).tools}
            (answer,) = (await client.call_tool("fx__app", {})).content
        async with client_to(gateway, mode) as client:
            others = {tool.name for tool in (await client.list_tools()).tools}
            (text,) = (await client.call_tool("fx__app", {})).content
        async with client_to(gateway, mode, extensions=[advertise(EXTENSION_ID, {"mimeTypes": ["text/x"]})]) as client:
            of_another_type = {tool.name for tool in (await client.list_tools()).tools}

    assert shown - others == {"fx__poll"}
    assert others == of_another_type
    assert "fx__app" in others
    assert answer.type == "text"
    assert answer.text == "a page"
    assert text.type == "text"
    # A 2025 server knows its connection only, and that declares what any client can do.
    assert text.text == ("a text" if era == "both" else "a page")
