"""From a client's own file with servers in it to a call through the gateway, and back byte for byte."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.e2e.programs import lg_gateway
from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import text_of

pytestmark = pytest.mark.usefixtures("programs_by_fork")

RULE = '\n[[gateway.rules]]\ntools = ["one__*"]\neffect = "allow"\n'


@pytest.mark.anyio
async def test_one_command_takes_a_clients_servers_behind_the_gateway_and_one_gives_the_file_back(
    tmp_path: Path, project: Path, environ: dict[str, str]
) -> None:
    file = tmp_path / "home" / ".config" / "Claude" / "claude_desktop_config.json"
    file.parent.mkdir(parents=True)
    servers = {name: {"command": sys.executable, "args": [str(FIXTURE)]} for name in ("one", "two", "Three & four")}
    before = json.dumps({"mcpServers": servers, "globalShortcut": ""}, indent=4).encode()
    file.write_bytes(before)
    said = lg_gateway("install", "claude-desktop", "--move", cwd=project, environ=environ)
    assert "is called Three-four here" in said
    (entry,) = json.loads(file.read_bytes())["mcpServers"].values()
    settings = tmp_path / "home" / ".config" / "lg" / "config.toml"
    settings.write_text(settings.read_text() + RULE)
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=environ, cwd=tmp_path)
    with anyio.fail_after(90):
        async with Client(stdio_client(server)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            answer = await client.call_tool("one__peek", {"text": "through the gateway"})
    assert {"fs__read_file", "exec__exec", "one__peek", "two__peek", "Three-four__peek"} <= tools
    assert text_of(answer) == "through the gateway"
    lg_gateway("install", "claude-desktop", "--remove", cwd=project, environ=environ)
    assert file.read_bytes() == before
    assert settings.read_text().strip() == RULE.strip(), "what is a person's own stays"
