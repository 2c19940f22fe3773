"""The first five minutes: from a client's own file with five servers to answered calls, and back byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import text_of

pytestmark = pytest.mark.usefixtures("programs_by_fork")

SERVERS = ("docs", "search", "tickets", "notes", "mail")
CALLS = 3
"""Calls of each server in the story."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A home directory of its own, as a client with windows starts programs from it: with a short PATH."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}


def gateway(*words: str, cwd: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "lg_gateway", *words]
    return subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=240)


async def questions(server: StdioServerParameters, *decisions: str) -> list[int]:
    """Use the five servers as a client does, once with each answer of its human; return how often it was asked."""
    asked: list[int] = []

    async def answer(_context: Any, params: Any) -> t.ElicitResult:
        asked[-1] += 1
        choices = params.requested_schema["properties"]["decision"]["enum"]
        decision = decisions[len(asked) - 1]
        return t.ElicitResult(action="accept", content={"decision": decision if decision in choices else "deny"})

    callback: Any = answer
    with anyio.fail_after(240):
        async with Client(stdio_client(server), elicitation_callback=callback) as client:
            await client.list_tools()
            for _ in decisions:
                asked.append(0)
                for text in (f"{name} {number}" for name in SERVERS for number in range(CALLS)):
                    assert text_of(await client.call_tool(f"{text.split()[0]}__peek", {"text": text})) == text
    return asked


@pytest.mark.anyio
async def test_one_command_leads_from_a_clients_file_to_an_answered_call_and_one_question_a_server_is_enough(
    tmp_path: Path, project: Path, environ: dict[str, str]
) -> None:
    file = tmp_path / "home" / ".cursor" / "mcp.json"
    file.parent.mkdir(parents=True)
    entries = {name: {"command": sys.executable, "args": [str(FIXTURE)]} for name in SERVERS}
    before = json.dumps({"mcpServers": entries, "mine": [1, 2]}, indent=3).encode()
    file.write_bytes(before)
    settings = tmp_path / "home" / ".config" / "lg" / "config.toml"

    shown = gateway("init", cwd=project, environ=environ)
    assert "no terminal to ask at, and no --yes: nothing was changed" in shown.stdout
    assert file.read_bytes() == before
    assert not settings.exists()

    done = gateway("init", "--yes", cwd=project, environ=environ)
    assert done.returncode == 0, done.stderr
    assert all(f"+ {name}" in done.stdout for name in SERVERS)
    assert "fs__list_files was answered" in done.stdout
    assert "lg-gateway install cursor --remove" in done.stdout
    assert gateway("init", "--dry-run", cwd=project, environ=environ).stdout.count("has the gateway already") == 1

    (entry,) = json.loads(file.read_bytes())["mcpServers"].values()
    server = StdioServerParameters(command=entry["command"], args=entry["args"], env=environ, cwd=tmp_path)
    assert await questions(server, "once", "reads") == [CALLS * len(SERVERS), len(SERVERS)]

    taken = gateway("install", "cursor", "--remove", cwd=project, environ=environ)
    assert taken.returncode == 0
    assert file.read_bytes() == before
    assert not settings.exists()
