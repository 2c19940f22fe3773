"""`lg-fs` plugged in by itself: the entries of its README, the MCP Inspector's command line, a client of 2025."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from tests.fs.helpers import read_tree, write_tree
from tests.third_party import npm_script, python_program

pytestmark = pytest.mark.anyio

README = (Path(__file__).resolve().parent.parent.parent / "servers" / "fs" / "README.md").read_text("utf-8")
ENTRIES = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)]
PROGRAMS = str(Path(sys.executable).parent)
TOOLS = {"apply_patch", "list_changes", "list_files", "read_file", "revert_patch", "search_files"}
PATCH = "*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n+eins\n*** End Patch\n"
INSPECTOR = "@modelcontextprotocol/inspector-cli@0.15.0"
"""The newest that runs on Node 20; version 2 wants Node 22.19."""
OLD_SDK = "mcp==1.30.0"

OLD_CLIENT = """
import asyncio, json, sys
from contextlib import asynccontextmanager
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

patch, *target = sys.argv[1:]

@asynccontextmanager
async def connection():
    if target[0].startswith("http"):
        async with streamablehttp_client(target[0]) as (read, write, _):
            yield read, write
    else:
        async with stdio_client(StdioServerParameters(command=target[0], args=target[1:])) as streams:
            yield streams

async def main():
    told = {}
    async with connection() as (read, write), ClientSession(read, write) as session:
        hello = await session.initialize()
        told["version"] = hello.protocolVersion
        told["tools"] = [tool.name for tool in (await session.list_tools()).tools if tool.outputSchema]
        read = await session.call_tool("read_file", {"path": "a.txt"})
        told["read"] = [read.content[0].text, read.structuredContent["files"][0]["total_lines"], read.isError]
        told["listed"] = (await session.call_tool("list_files", {"recursive": True})).content[0].text
        told["found"] = (await session.call_tool("search_files", {"regex": "t[wv]o"})).content[0].text
        done = await session.call_tool("apply_patch", {"patch": patch})
        told["patched"] = done.structuredContent["files"][0]["path"]
        back = await session.call_tool("revert_patch", {"change_id": done.structuredContent["change_id"]})
        told["reverted"] = not back.isError
        told["refused"] = (await session.call_tool("read_file", {"path": "../x"})).structuredContent["error"]["code"]
        told["template"] = (await session.list_resource_templates()).resourceTemplates[0].uriTemplate
        resource = await session.read_resource("file:///sub/b.txt")
        told["resource"] = resource.contents[0].text
        reference = types.ResourceTemplateReference(type="ref/resource", uri=told["template"])
        done = await session.complete(reference, {"name": "path", "value": "su"})
        told["completed"] = done.completion.values
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the MCP Inspector without its web page."""
    script = npm_script(tmp_path_factory.mktemp("inspector"), INSPECTOR, "build/cli.js")
    return ["node", script, "--cli"]


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter whose `mcp` is the SDK of 2025."""
    return python_program(tmp_path_factory.mktemp("old-sdk"), OLD_SDK, "python")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "the project"
    write_tree(root, {"a.txt": "one\ntwo\n", "sub/b.txt": "three\n"})
    return root


def environment() -> dict[str, str]:
    """Our programs on the path, and another home: clients hand only a few variables on to the servers they start."""
    home = str(Path(os.environ["XDG_STATE_HOME"]).parent)
    return {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": home}


def inspect(inspector: list[str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run([*inspector, *arguments], capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_the_inspector_lists_calls_and_reads_by_the_entry_of_the_readme(
    inspector: list[str], project: Path, tmp_path: Path
) -> None:
    (entry,) = [entry for entry in ENTRIES if "mcpServers" in entry]
    config = tmp_path / "clients.json"
    config.write_text(json.dumps(entry).replace("/path/to/project", str(project)))
    server = ["--config", str(config), "--server", "files"]
    tools = inspect(inspector, *server, "--method", "tools/list")["tools"]
    call = [*server, "--method", "tools/call", "--tool-name"]
    read = inspect(inspector, *call, "read_file", "--tool-arg", "path=a.txt", "--tool-arg", "line_numbers=true")
    done = inspect(inspector, *call, "apply_patch", "--tool-arg", f"patch={PATCH}")
    refused = inspect(inspector, *call, "read_file", "--tool-arg", "path=/etc/passwd")
    resource = inspect(inspector, *server, "--method", "resources/read", "--uri", "file:///sub/b.txt")
    assert {tool["name"] for tool in tools} == TOOLS
    assert all(tool["outputSchema"]["type"] == "object" and tool["annotations"] for tool in tools)
    assert read["content"][0]["text"] == "     1\tone\n     2\ttwo\n"
    assert done["structuredContent"]["files"][0]["path"] == "a.txt"
    assert refused["isError"]
    assert refused["structuredContent"]["error"]["code"] == "policy_denied"
    assert resource["contents"][0]["text"] == "three\n"
    assert read_tree(project)["a.txt"] == b"eins\ntwo\n"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: next(iter(entry)))
async def test_an_entry_of_the_readme_starts_the_server(entry: dict[str, Any], project: Path) -> None:
    (server,) = (entry.get("mcpServers") or entry["servers"]).values()
    names = ("/path/to/project", "${workspaceFolder}")
    arguments = [str(project) if one in names else one for one in server["args"]]
    assert str(project) in arguments
    command = shutil.which(server["command"], path=PROGRAMS)
    with anyio.fail_after(60):
        async with Client(
            stdio_client(StdioServerParameters(command=str(command), args=arguments, env=environment()))
        ) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS


def told_by(python: str, *target: str) -> dict[str, Any]:
    argv = [python, "-I", "-W", "ignore", "-c", OLD_CLIENT, PATCH, *target]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


async def test_a_client_of_2025_can_do_everything_over_stdio_and_http(old_python: str, project: Path) -> None:
    command = [sys.executable, "-P", "-m", "lg_fs", "--root", str(project)]
    over_stdio = told_by(old_python, *command)
    process = await asyncio.create_subprocess_exec(
        *command, "--transport", "http", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", (await process.stderr.readline()).decode())
        assert found is not None
        over_http = await anyio.to_thread.run_sync(told_by, old_python, found[0])
    finally:
        process.kill()
        await process.communicate()
    assert over_http == over_stdio
    assert over_stdio == {
        "version": "2025-11-25",
        "tools": sorted(TOOLS),
        "read": ["one\ntwo\n", 2, False],
        "listed": "a.txt (8 bytes)\nsub/\nsub/b.txt (6 bytes)",
        "found": "a.txt:\n  2: two\n[1 match in 1 of 2 files searched]",
        "patched": "a.txt",
        "reverted": True,
        "refused": "policy_denied",
        "template": "file:///{+path}",
        "resource": "three\n",
        "completed": ["sub/"],
    }
    assert read_tree(project)["a.txt"] == b"one\ntwo\n"
