"""Starts published servers and clients with the gateway between: `python -m conformance.third_parties --folder DIR`.

Servers are listed and called directly and through the gateway; a row says what differs. Clients list and call a tool
of the gateway. Everything is installed below the folder, with npm and uv. `--only NAME` tries one. Not part of CI.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from conformance.programs import Program, gateway

INSTALL_S, ANSWER_S = 300, 90
CLIENT = """\
import asyncio, json, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
async def main():
    argv, env = json.loads(sys.argv[1])
    async with stdio_client(StdioServerParameters(command=argv[0], args=argv[1:], env=env)) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            result = await session.call_tool("fs__list_files", {})
            print(len(names), "tools,", "error" if result.isError else "called")
asyncio.run(main())
"""
"""What a client of the first SDK does, with an interpreter of its own."""
FASTMCP = """\
import asyncio, json, sys
from fastmcp import Client
async def main():
    argv, env = json.loads(sys.argv[1])
    async with Client({"mcpServers": {"g": {"command": argv[0], "args": argv[1:], "env": env}}}) as client:
        names = [tool.name for tool in await client.list_tools()]
        result = await client.call_tool("fs__list_files", {})
        print(len(names), "tools,", "error" if result.is_error else "called")
asyncio.run(main())
"""


@dataclass(frozen=True)
class Server:
    """One published server. `calls` are made both ways; `{folder}` stands for a folder of its own."""

    package: str
    npm: bool
    program: str
    args: tuple[str, ...] = ()
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    env: dict[str, str] = field(default_factory=dict)


SERVERS = (
    Server(
        "@modelcontextprotocol/server-everything",
        True,
        "mcp-server-everything",
        calls=(("echo", {"message": "x"}),),
    ),
    Server(
        "@modelcontextprotocol/server-filesystem",
        True,
        "mcp-server-filesystem",
        ("{folder}",),
        (("list_directory", {"path": "{folder}"}),),
    ),
    Server("@modelcontextprotocol/server-memory", True, "mcp-server-memory", calls=(("read_graph", {}),)),
    Server(
        "@modelcontextprotocol/server-sequential-thinking",
        True,
        "mcp-server-sequential-thinking",
        calls=(
            (
                "sequentialthinking",
                {"thought": "x", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
            ),
        ),
    ),
    Server("@upstash/context7-mcp", True, "context7-mcp"),
    Server("@playwright/mcp", True, "playwright-mcp"),
    Server("mcp-server-git", False, "mcp-server-git", calls=(("git_status", {"repo_path": "{folder}"}),)),
    Server("mcp-server-time", False, "mcp-server-time", calls=(("convert_time", {
        "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),)),
    Server("mcp-server-fetch", False, "mcp-server-fetch"),
)  # fmt: skip
"""Those without calls need a network, a browser or an account for theirs; they are listed."""


def main() -> None:
    """Try all, or one, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where packages are, or are installed")
    parser.add_argument("--only", help="a part of a package's name")
    args = parser.parse_args()
    print("| what | version | direct | through the gateway |\n|---|---|---|---|")
    for server in SERVERS:
        if args.only is None or args.only in server.package:
            with tempfile.TemporaryDirectory() as folder:
                print(anyio.run(_server_row, server, args.folder, Path(folder)), flush=True)
    for name, row in (("mcp<2", _older_sdk), ("fastmcp", _fastmcp), ("@modelcontextprotocol/inspector", _inspector)):
        if args.only is None or args.only in name:
            with tempfile.TemporaryDirectory() as folder:
                print(row(args.folder, Path(folder)), flush=True)


async def _server_row(server: Server, packages: Path, folder: Path) -> str:
    own, root = folder / "own", str(folder / "own")
    await anyio.run_process(["git", "init", "-q", root])
    own.joinpath("a.txt").write_text("text\n", "utf-8")
    try:
        program = str(_installed(server.package, packages, npm=server.npm) / server.program)
    except (OSError, subprocess.SubprocessError) as error:
        return f"| `{server.package}` | - | cannot be installed: {str(error)[:100]} | - |"
    argv = [program, *(arg.format(folder=root) for arg in server.args)]
    calls = [(name, json.loads(json.dumps(given).replace("{folder}", root))) for name, given in server.calls]
    environment = {**os.environ, **server.env}
    direct = await _tried(StdioServerParameters(command=argv[0], args=argv[1:], env=environment), calls, "")
    settings = f"command = {json.dumps(argv[0])}\nargs = {json.dumps(argv[1:])}"
    front = gateway(folder / "gateway", settings)
    through = await _tried(
        StdioServerParameters(command=front.argv[0], args=list(front.argv[1:]), env=front.env), calls, "back__"
    )
    version = direct.get("version", "")
    same = (
        "the same"
        if direct == {**through, "version": version, "era": direct.get("era")}
        else _difference(direct, through)
    )
    return f"| `{server.package}` | {version} | {_said(direct)} | {same} |"


async def _tried(parameters: StdioServerParameters, calls: list[Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        with anyio.fail_after(ANSWER_S):
            async with Client(cache=None, server=stdio_client(parameters, errlog=Path(os.devnull).open("w"))) as client:  # noqa: ASYNC230  nothing else runs
                info = client.server_info
                found["version"], found["era"] = info.version if info else "", client.protocol_version
                names = list[str]()
                while not names:  # a first list does not wait long for slow servers
                    listed = (await client.list_tools()).tools
                    names = [tool.name.removeprefix(prefix) for tool in listed if tool.name.startswith(prefix)]
                    await anyio.sleep(0 if names else 1)
                found["tools"] = sorted(name for name in names if not name.startswith("mcp_"))
                for name, given in calls:
                    result = await client.call_tool(prefix + name, given)
                    found[name] = [block.text for block in result.content if isinstance(block, t.TextContent)]
    except (MCPError, OSError, TimeoutError, RuntimeError, BaseExceptionGroup) as caught:
        error: BaseException = caught
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        found["failed"] = re.sub(r"\s+", " ", repr(error))[:150]
    return found


def _said(found: dict[str, Any]) -> str:
    if "failed" in found:
        return f"failed: {found['failed']}"
    calls = len(found) - 3
    return f"{found['era']}, {len(found['tools'])} tools" + (f", {calls} called" if calls else ", listed only")


def _difference(direct: dict[str, Any], through: dict[str, Any]) -> str:
    if "failed" in through:
        return f"failed: {through['failed']}"
    more = len(through["tools"]) - len(direct.get("tools", ()))
    if (
        more > 0
        and set(direct["tools"]) < set(through["tools"])
        and all(through.get(name) == value for name, value in direct.items() if name not in ("version", "era", "tools"))
    ):
        return f"the same, and {more} tools that it lists to clients that it can ask"
    different = [
        name for name, value in direct.items() if name not in ("version", "era") and through.get(name) != value
    ]
    return f"differs: {', '.join(different)}"


def _installed(package: str, packages: Path, *, npm: bool) -> Path:
    """Return the folder with a package's programs; install it first if it is not there."""
    if npm:
        if not (packages / "npm" / "node_modules" / package).exists():
            command = [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(packages / "npm"),
                package,
            ]
            subprocess.run(command, check=True, timeout=INSTALL_S)
        return packages / "npm" / "node_modules" / ".bin"
    place = packages / re.sub(r"[^a-z0-9-]", "", package)
    if not place.exists():
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", str(place)], check=True, timeout=INSTALL_S)
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", str(place / "bin" / "python"), package],
            check=True,
            timeout=INSTALL_S,
        )
    return place / "bin"


@contextmanager
def _front(folder: Path) -> Iterator[Program]:
    """A gateway with the built-in servers, as a client starts it."""
    made = gateway(folder, 'builtin = "fs"')
    text = folder / "gateway.toml"
    text.write_text(
        text.read_text("utf-8")
        .replace("servers.back", "servers.fs")
        .replace('sampling = "client"\nroots = "client"\n', ""),
        "utf-8",
    )
    yield made


def _older_sdk(packages: Path, folder: Path) -> str:
    python = _installed("mcp<2", packages, npm=False) / "python"
    return _client_row("`mcp` 1.x", [str(python), "-c", CLIENT], folder)


def _fastmcp(_packages: Path, folder: Path) -> str:
    return _client_row("`fastmcp` client", [sys.executable, "-c", FASTMCP], folder)


def _inspector(packages: Path, folder: Path) -> str:
    program = _installed("@modelcontextprotocol/inspector", packages, npm=True) / "mcp-inspector"
    with _front(folder) as front:
        command = [str(program), "--cli", "--method", "tools/list", "--", *front.argv]
        done = subprocess.run(command, env=front.env, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    tools = done.stdout.count('"name": "fs__')
    said = f"{tools} tools, listed" if tools else f"failed: {(done.stderr or done.stdout)[-120:]!r}"
    return f"| `@modelcontextprotocol/inspector --cli` | client | - | {said} |"


def _client_row(what: str, command: list[str], folder: Path) -> str:
    with _front(folder) as front:
        given = json.dumps([list(front.argv), front.env])
        done = subprocess.run([*command, given], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    said = done.stdout.strip() or f"failed: {done.stderr[-150:]!r}"
    return f"| {what} | client | - | {said} |"


if __name__ == "__main__":
    main()
