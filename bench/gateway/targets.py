"""What is measured: ways from a client to one trivial tool, each started anew and ended with its block."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import anyio
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "gateway" / "fixture_server.py"
UPSTREAM = [sys.executable, str(FIXTURE)]
START_S = 120


@dataclass(frozen=True, kw_only=True)
class Target:
    """A way to the tool. `command` gets a port for HTTP and `None` for stdio; `None` instead of a command: direct."""

    name: str
    front: str
    command: Callable[[int | None], list[str]] | None
    environment: dict[str, str]
    token: str | None = None
    path: str = "/mcp"
    tool: str = "peek"
    """A tool that its server calls read-only, or `echo`, which may have an effect for all that anybody knows."""
    url: str | None = None
    """Of a server that runs already, for a direct connection over HTTP."""
    through: str | None = None
    """The peer's own tool that calls the tool, where it shows no other."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A target that is up: a client, the tool's name behind it, its process, and how long it took to a first list."""

    target: Target
    client: Client
    tool: str
    pid: int | None
    started_s: float

    def arguments(self, text: str) -> dict[str, object]:
        """Return the arguments of a call of the tool."""
        if self.target.through is None:
            return {"text": text}
        return {"tool_name": self.target.tool, "tool_input": {"text": text}}


@contextmanager
def upstream_over_http() -> Iterator[str]:
    """Run the server of the tool over HTTP; yields its address."""
    command = [*UPSTREAM, "--http", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=_environment({})) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the pipes of a process that was started with pipes are missing")
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
        finally:
            process.terminate()


def config(place: Path, *, everything: bool, url: str | None = None) -> Path:
    """A settings file with one server; with `everything`, 200 rules, pins and masking of all results."""
    lines = ["[gateway]", "calls_per_minute = 10000000", "calls_at_once = 1000", "requests_per_minute = 10000000"]
    lines += ['mask_results = "all"'] if everything else ['pins = "off"', 'mask_results = "none"']
    lines += ["[gateway.servers.a]", "trusted = true"]
    stdio = [f"command = {json.dumps(sys.executable)}", f"args = {json.dumps([str(FIXTURE)])}"]
    lines += stdio if url is None else [f"url = {json.dumps(url)}"]
    lines += ['[[gateway.rules]]\ntools = ["*"]\neffect = "allow"']
    for n in range(200 if everything else 0):
        tool = "a__echo" if n < 5 else f"other__tool_{n}"
        when = f'when = {{ properties = {{ text = {{ pattern = "never-{n}$" }} }} }}'
        lines.append(f'[[gateway.rules]]\ntools = ["{tool}"]\neffect = "deny"\n{when}')
    path = place / ("on.toml" if everything else "off.toml")
    path.write_text("\n".join(lines))
    return path


def targets(place: Path, front: str, peers: list[str], url: str | None = None) -> list[Target]:
    """Direct, the bare SDK, our gateway twice, and the peers that are there. `url`: of a server over HTTP."""

    def module(name: str, *options: str) -> Callable[[int | None], list[str]]:
        def command(port: int | None) -> list[str]:
            where = [] if port is None else ["--port", str(port)]
            return [sys.executable, "-m", name, *options, *where, "--", *(UPSTREAM if url is None else [url])]

        return command

    made = [Target(name="bare SDK", front=front, command=module("bench.gateway.bare"), environment={})]
    if front == "stdio" or url is not None:
        made.insert(0, Target(name="direct", front=front, command=None, environment={}, url=url))
    for name, everything in (("everything off", False), ("everything on", True)):
        made.append(ours(place, front, name, config(place, everything=everything, url=url)))
    beside = config(place, everything=True, url=url).rename(place / "effects.toml")
    made.append(replace(ours(place, front, "everything on, an effect", beside), tool="echo"))
    config(place, everything=True, url=url)
    made += _installed_peers(place, front, peers, url)
    if "fastmcp" in peers and url is None:
        made.append(
            Target(
                name="fastmcp, kept",
                front=front,
                command=module("bench.gateway.fastmcp_proxy", "--kept"),
                environment={},
            )
        )
        made.append(Target(name="fastmcp", front=front, command=module("bench.gateway.fastmcp_proxy"), environment={}))
    return made


def _installed_peers(place: Path, front: str, peers: list[str], url: str | None) -> list[Target]:
    """Peers that are programs of their own, each in an environment that uv makes for it."""
    made: list[Target] = []
    if "mcp-proxy" in peers and front == "http" and url is None:
        proxy = f"{_prefix('mcp-proxy')}/bin/mcp-proxy"
        made.append(
            Target(
                name="mcp-proxy",
                front=front,
                command=lambda port: [proxy, "--host", "127.0.0.1", "--port", str(port), "--", *UPSTREAM],
                environment={},
                path="/mcp/",
            )
        )
    if "mcp-compressor" in peers:
        compressor, file = f"{_prefix('mcp-compressor')}/bin/mcp-compressor", place / "compressor.json"
        # With a header, it does not try to log in at a server over HTTP.
        server = {"command": UPSTREAM[0], "args": UPSTREAM[1:]}
        remote = {"url": url, "headers": {"Authorization": "Bearer x"}}
        file.write_text(json.dumps({"mcpServers": {"a": server if url is None else remote}}))
        where = "--transport", "streamable-http", "--port"
        made.append(
            Target(
                name="mcp-compressor",
                front=front,
                command=lambda port: [
                    compressor,
                    "--config",
                    str(file),
                    *(() if port is None else (*where, str(port))),
                ],
                environment={},
                through="invoke_tool",
            )
        )
    if "aegis-sandbox" in peers and front == "stdio" and url is None:
        aegis, home, project = f"{_prefix('aegis-sandbox')}/bin/aegis", place / "aegis", place / "aegis-project"
        rules = {name: {"effect": "allow"} for name in ("peek", "echo")}
        policy = {"version": 1, "workspace_roots": [str(project)], "deny_paths": [".env"], "allowed_domains": []}
        (home / ".config/aegis").mkdir(parents=True, exist_ok=True)
        project.mkdir(exist_ok=True)
        (home / ".config/aegis/policy.json").write_text(
            json.dumps(policy | {"sandbox_domains": [], "tool_rules": rules})
        )
        made.append(
            Target(
                name="aegis-sandbox",
                front=front,
                command=lambda _port: [aegis, "proxy", "--", *UPSTREAM],
                environment={"HOME": str(home)},
            )
        )
    return made


def _prefix(package: str) -> str:
    """Return the environment of a package. Raises `CalledProcessError` if it cannot be installed."""
    find = [str(ROOT / ".venv/bin/uv"), "tool", "run", "--from", package, "python"]
    command = [*find, "-c", "import sys; print(sys.prefix)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(ROOT)} | more


def ours(place: Path, front: str, name: str, path: Path, clone: Path | None = None) -> Target:
    """Return our gateway with a settings file. `clone`: of another version, whose code is run in its place."""
    home = place / f"{front} {name}"
    environment = {"XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
    environment |= code_of(clone) if clone is not None else {}
    gateway = [sys.executable, "-P", "-m", "lg_gateway"]
    token = None
    login: list[str] = []
    if front == "http" and name.startswith("everything on"):
        create = [*gateway, "tokens", "create", "bench", "--config", str(path)]
        token = subprocess.run(create, env=environment, capture_output=True, text=True, check=True).stdout.split()[-1]
    elif front == "http":
        login = ["--no-login"]

    def command(port: int | None) -> list[str]:
        where = [] if port is None else ["--transport", "http", "--port", str(port), *login]
        return [*gateway, "--config", str(path), *where]

    return Target(name=name, front=front, command=command, environment=environment, token=token)


def code_of(clone: Path) -> dict[str, str]:
    """Return the environment in which a Python program runs the code of a clone."""
    folders = ("gateway", "policy", "servers/fs", "servers/exec", "servers/code", "")
    return {"PYTHONPATH": os.pathsep.join(str(clone / folder) for folder in folders)}


@asynccontextmanager
async def reached(target: Target) -> AsyncIterator[Reached]:
    """Start a target and connect one client to it."""
    began = time.perf_counter()
    environment = _environment(target.environment)
    if target.url is not None:
        async with (
            httpx2.AsyncClient(timeout=60) as http,
            Client(streamable_http_client(target.url, http_client=http), cache=None) as client,
        ):
            yield await _found(target, client, None, began)
        return
    if target.front == "stdio":
        command = target.command(None) if target.command is not None else UPSTREAM
        parameters = StdioServerParameters(command=command[0], args=command[1:], env=environment, cwd=ROOT)
        async with Client(_quiet(parameters), cache=None) as client:
            pid = child_of_this_process(command) if target.command is not None else None
            yield await _found(target, client, pid, began)
        return
    port = free_port()
    process = subprocess.Popen(
        target.command(port) if target.command is not None else [],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await _listening(port, process)
        headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}{target.path}", http_client=http)
            async with Client(transport, cache=None) as client:
                yield await _found(target, client, process.pid, began)
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quiet(parameters: StdioServerParameters) -> Any:
    """Return the transport of a program whose log is thrown away: some print a line for each call."""
    return stdio_client(parameters, errlog=_null())


@cache
def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


async def _found(target: Target, client: Client, pid: int | None, began: float) -> Reached:
    names = [tool.name for tool in (await client.list_tools()).tools]
    wanted = target.through or target.tool
    tool = next(name for name in names if name == wanted or name.endswith(f"_{wanted}"))
    return Reached(target=target, client=client, tool=tool, pid=pid, started_s=time.perf_counter() - began)


async def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            async with await anyio.connect_tcp("127.0.0.1", port):
                return
        except OSError:
            await anyio.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen")


def child_of_this_process(command: list[str]) -> int:
    """Return the child of this process that runs a command."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            running = (folder / "cmdline").read_text().split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and running[1 - len(command) :] == command[1:]:  # a script has its interpreter before
            return int(folder.name)
    raise RuntimeError(f"no child runs {command}")
