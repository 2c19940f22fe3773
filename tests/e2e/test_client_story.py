"""From a client's own file with servers in it to a call through the gateway, and back byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import text_of

RULE = '\n[[gateway.rules]]\ntools = ["one__*"]\neffect = "allow"\n'
CLAUDE = [program] if (program := os.environ.get("CLAUDE_CLI")) else []
"""The real Claude Code, where CLAUDE_CLI names it. The package `claude-agent-sdk` has it, in 178 MB."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home directory of its own, as a client with windows starts programs from it: with a short PATH."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}


def gateway(*words: str, cwd: Path, environ: dict[str, str]) -> str:
    argv = [sys.executable, "-P", "-m", "lg_gateway", *words]
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.anyio
async def test_one_command_takes_a_clients_servers_behind_the_gateway_and_one_gives_the_file_back(
    tmp_path: Path, project: Path, environ: dict[str, str]
) -> None:
    file = tmp_path / "home" / ".config" / "Claude" / "claude_desktop_config.json"
    file.parent.mkdir(parents=True)
    servers = {name: {"command": sys.executable, "args": [str(FIXTURE)]} for name in ("one", "two", "Three & four")}
    before = json.dumps({"mcpServers": servers, "globalShortcut": ""}, indent=4).encode()
    file.write_bytes(before)
    said = gateway("install", "claude-desktop", "--move", cwd=project, environ=environ)
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
    gateway("install", "claude-desktop", "--remove", cwd=project, environ=environ)
    assert file.read_bytes() == before
    assert settings.read_text().strip() == RULE.strip(), "what is a person's own stays"


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_code_connects_to_what_was_installed(
    program: str, tmp_path: Path, project: Path, environ: dict[str, str]
) -> None:
    claude = str(shutil.which(program))
    gateway("install", "claude-code", cwd=project, environ=environ)

    def listed() -> str:
        argv = [claude, "mcp", "list"]
        done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "✔ Connected" in listed()
    gateway("install", "claude-code", "--remove", cwd=project, environ=environ)
    kept = json.loads((tmp_path / "home" / ".claude.json").read_bytes())
    assert "firstStartTime" in kept, "Claude Code has written into its file meanwhile"
    assert not kept["mcpServers"]
    assert "lg-gateway" not in listed()
