"""What gateway tests are built from: settings with fixture servers, gateways in this process, clients of others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from lg_gateway.calls.call import Call
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import GatewaySetup, prepare
from lg_policy.config.flags import CommonFlags
from tests.gateway.fixture_program import FIXTURE
from tests.processes import STACKS, Output, end

ALLOW_ALL = '[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n'
PASSED = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PATH", "HOME")


def server(name: str, *args: str, **settings: Any) -> str:
    """Return the settings table of a fixture server started with `args`."""
    lines = [f"[gateway.servers.{name}]", f"command = {json.dumps(sys.executable)}"]
    lines.append(f"args = {json.dumps([str(FIXTURE), *args])}")
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


def write_config(tmp_path: Path, *parts: str) -> Path:
    """Write a settings file of these parts."""
    path = tmp_path / "gateway.toml"
    path.write_text("\n".join(parts))
    return path


def flags(**given: Any) -> CommonFlags:
    """Return command-line flags, those not given at their defaults."""
    defaults: dict[str, Any] = {
        "root": None, "config": None, "profile": None, "state_dir": None, "effective_config": None,
        "allow_broad_root": False, "log_level": "warning",
    }  # fmt: skip
    return CommonFlags(**(defaults | given))


def make_setup(tmp_path: Path, *parts: str) -> GatewaySetup:
    """Prepare a gateway from settings."""
    return prepare(flags(config=write_config(tmp_path, *parts)), mcp_json=None)


@contextmanager
def http_gateway(*args: str, login: bool = False) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway process on a port of the system's choice; yields its URL."""
    opened = () if login else ("--no-login",)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lg_gateway", "--transport", "http", *opened, *args],
        stderr=subprocess.PIPE,
        text=True,
        env=program_environment(STACKS),
    )
    assert process.stderr is not None
    output = Output(process.stderr)
    try:
        found = output.first(re.compile(r"listening on (http://\S+)/mcp").search)
        yield found[1], process
    finally:
        end(process, output)
        process.stderr.close()


@asynccontextmanager
async def gateway_of(tmp_path: Path, *parts: str) -> AsyncIterator[Gateway]:
    """Run a gateway in this process with its servers as processes, settled."""
    with anyio.fail_after(60):
        async with running_gateway(make_setup(tmp_path, *parts)) as gateway:
            await gateway.settled()
            yield gateway


async def call(gateway: Gateway, name: str, **arguments: Any) -> Any:
    """Make one call as the local user."""
    return await send(gateway, name, arguments)


async def send(gateway: Gateway, name: str, arguments: dict[str, Any], **options: Any) -> Any:
    """Make one call with metadata, progress or another identity."""
    given: dict[str, Any] = {"identity": "local:me", "client": "test"} | options
    return await gateway.pipeline.run(Call(name=name, arguments=arguments, **given))


def text_of(result: Any) -> str:
    """Return the text of a result's first part."""
    return str(result.content[0].text)


def records(gateway: Gateway, *, notes: bool = False) -> list[dict[str, Any]]:
    """Return the ledger's records of calls, or its notes."""
    rows = gateway.store.read_now(lambda tx: tx.execute("SELECT record FROM ledger ORDER BY seq"))
    found: list[dict[str, Any]] = [json.loads(text) for (text,) in rows]
    return [record for record in found if (record["phase"] == "note") is notes]


def journal(path: Path) -> list[dict[str, Any]]:
    """Return what really arrived at a fixture server."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def program_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a gateway process: this test's private places."""
    return {name: os.environ[name] for name in PASSED if name in os.environ} | dict(extra or {})


def gateway_command(*args: str) -> StdioServerParameters:
    """Return how to start a gateway process over stdio."""
    return StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "lg_gateway", *args], env=program_environment()
    )


@asynccontextmanager
async def client_of(*args: str, **options: Any) -> AsyncIterator[Client]:
    """Start a gateway process and connect to it over stdio."""
    with anyio.fail_after(90):
        async with Client(gateway_command(*args), **options) as client:
            yield client


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something outside this process has happened."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def code_of(result: Any) -> str | None:
    return result.structured_content["error"]["code"] if result.is_error else None


@contextmanager
def http_server(port: int, *args: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, str(FIXTURE), "--http", str(port), *args],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
