"""Clients that answer whatever a server asks, and the servers of these tests."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from conformance.probing.prober import Seen
from conformance.programs import FIXTURE, ROOT
from mcp.client import Client

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.server import Frontend

HERE = Path(__file__).resolve().parent.parent
ALLOWED = {"sampling": "client", "roots": "client"}


def whole_protocol(era: str, **settings: Any) -> str:
    """Return the settings of the fixture that uses the whole protocol. `era` is that of its connection."""
    mode = "legacy" if era == "2025" else "modern"
    return program("a", FIXTURE, mode=mode, env={"PYTHONPATH": str(ROOT)}, **settings)


def script(name: str, **settings: Any) -> str:
    """Return the settings of a server that is one of these tests' programs."""
    return program("a", [str(HERE / name)], **settings)


def program(server: str, args: list[str], *, env: dict[str, str] | None = None, **settings: Any) -> str:
    lines = [f"[gateway.servers.{server}]", f"command = {json.dumps(sys.executable)}", f"args = {json.dumps(args)}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += [f"env = {{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in (env or {}).items())} }}"]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def answering(
    gateway: Gateway, mode: str, seen: Seen, *, identity: str = "local:me", log_level: Any = "debug", **own: Any
) -> AsyncIterator[Client]:
    """A client that answers everything; `own` replaces some of its callbacks, `None` leaves one out."""
    callbacks: dict[str, Any] = {
        "elicitation_callback": seen.on_elicit,
        "sampling_callback": seen.on_sample,
        "list_roots_callback": seen.on_roots,
        "logging_callback": seen.on_log,
    }
    built = Frontend(gateway, identify=lambda _ctx: identity).build()
    level = log_level if mode != "legacy" else None
    async with Client(built, mode=mode, log_level=level, **(callbacks | own)) as client:
        yield client
