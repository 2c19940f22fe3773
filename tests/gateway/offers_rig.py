"""Settings with servers that have resources and prompts, and clients that read them through a gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.server import Frontend

OFFERS = Path(__file__).with_name("offers_server.py")
ALLOW = '[[gateway.rules]]\ntools = ["*"]\nresources = ["*"]\nprompts = ["*"]\neffect = "allow"\n'
NO_HOLD = "[approval]\nhold_s = 0\n"
CLIENTS = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
SERVERS = pytest.mark.parametrize("era", ["both", "legacy"])


def offers(name: str, *args: str, **settings: Any) -> str:
    """Return the settings table of a server with resources and prompts."""
    lines = [f"[gateway.servers.{name}]", f"command = {json.dumps(sys.executable)}"]
    lines.append(f"args = {json.dumps([str(OFFERS), *args])}")
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


@contextmanager
def offers_over_http(*args: str) -> Iterator[str]:
    """Run that server over HTTP; yields its address."""
    process = subprocess.Popen(
        [sys.executable, str(OFFERS), "--http", "0", *args],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@asynccontextmanager
async def client_to(
    gateway: Gateway, mode: str = "2026-07-28", identity: str = "local:me", **options: Any
) -> AsyncIterator[Client]:
    """A client of a gateway in this process."""
    built = Frontend(gateway, identify=lambda _ctx: identity).build()
    async with Client(built, mode=mode, cache=None, **options) as client:
        yield client


async def refused(awaitable: Any) -> MCPError:
    """Return the error that a request ends with."""
    with pytest.raises(MCPError) as caught:
        await awaitable
    return caught.value
