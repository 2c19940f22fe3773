"""Starts published servers and clients with the gateway between: `python -m conformance.third_parties --folder DIR`.

Servers are listed and called directly and through the gateway; a row says what differs. Clients list the gateway's
tools, read, and ask for a change, over stdio and over HTTP. Everything is installed below the folder, with npm and uv.
`--only NAME` tries one. Not part of CI.
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

from conformance.client_programs import NODE, NPM_CLIENTS, PYTHON_CLIENTS
from conformance.programs import Program, gateway, gateway_url

INSTALL_S, ANSWER_S = 300, 90


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
    Server("fastmcp", False, "fastmcp", ("run", "{folder}/server.py", "--no-banner"), (("greet", {"name": "x"}),)),
)  # fmt: skip
"""Those without calls need a network, a browser or an account for theirs; they are listed."""
FASTMCP = """\
from fastmcp import FastMCP
mcp = FastMCP("greeter")
@mcp.tool
def greet(name: str) -> dict[str, str]:
    return {"greeting": f"Hello {name}"}
"""


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
    for row in _client_rows(args.folder, args.only or ""):
        print(row, flush=True)


async def _server_row(server: Server, packages: Path, folder: Path) -> str:
    own, root = folder / "own", str(folder / "own")
    await anyio.run_process(["git", "init", "-q", root])
    own.joinpath("a.txt").write_text("text\n", "utf-8")
    own.joinpath("server.py").write_text(FASTMCP, "utf-8")
    try:
        program = str(installed(server.package, packages, npm=server.npm) / server.program)
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


def installed(package: str, packages: Path, *, npm: bool) -> Path:
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
        .replace('sampling = "client"\nroots = "client"\n', "")
        .partition("[[gateway.rules]]")[0],  # so that a change is asked about
        "utf-8",
    )
    yield made


def _client_rows(packages: Path, only: str) -> Iterator[str]:
    for package, text in PYTHON_CLIENTS.items():
        if only in package:
            python = installed(package, packages, npm=False) / "python"
            yield _client_row(package, [str(python), "-c", text])
    for package, choices in NPM_CLIENTS.items():
        if only in package:
            # A program finds packages from where it lies.
            program = installed(package, packages, npm=True).parent.parent / "client.mjs"
            program.write_text(NODE, "utf-8")
            for choice in choices:
                yield _client_row(f"{package} {choice[1]}".strip(), ["node", str(program), *choice])
    if only in "@modelcontextprotocol/inspector":
        yield _inspector(packages)


def _inspector(packages: Path) -> str:
    program = installed("@modelcontextprotocol/inspector", packages, npm=True) / "mcp-inspector"
    with tempfile.TemporaryDirectory() as folder, _front(Path(folder, "gateway")) as front:
        command = [str(program), "--cli", "--method", "tools/list", "--", *front.argv]
        done = subprocess.run(command, env=front.env, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    tools = done.stdout.count('"name": "fs__')
    said = f"{tools} tools, listed" if tools else f"failed: {(done.stderr or done.stdout)[-120:]!r}"
    return f"| `@modelcontextprotocol/inspector --cli` | client | stdio: {said} | - |"


def _client_row(what: str, command: list[str]) -> str:
    """Return what a client says over stdio and over HTTP: it lists, reads, and asks for a change."""
    said = []
    for transport in ("stdio", "HTTP"):
        with tempfile.TemporaryDirectory() as folder, _front(Path(folder, "gateway")) as front:
            if transport == "stdio":
                said.append(_client_said(command, {"argv": front.argv, "env": front.env, "url": ""}))
                continue
            program = Program((*front.argv, "--transport", "http", "--no-login"), front.env)
            with gateway_url(program) as url:
                said.append(_client_said(command, {"argv": [], "env": {}, "url": url}))
    return f"| `{what}` | client | {said[0]} | {said[1]} |"


def _client_said(command: list[str], given: dict[str, Any]) -> str:
    environment = {**os.environ, "MCP_USE_ANONYMIZED_TELEMETRY": "false"}
    given = {**given, "env": dict(given["env"]), "argv": list(given["argv"])}
    done = subprocess.run(
        [*command, json.dumps(given)], capture_output=True, text=True, timeout=ANSWER_S, check=False, env=environment
    )
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines and done.returncode == 0 else f"failed: {done.stderr[-150:]!r}"


if __name__ == "__main__":
    main()
