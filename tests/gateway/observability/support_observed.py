"""A gateway process whose log is a file, and requests to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from tests.gateway.rig import program_environment
from tests.processes import STACKS, kill_tree

START_S = 60
MODERN = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "Mcp-Protocol-Version": "2026-07-28",
}


@contextmanager
def logged_gateway(log: Path, *args: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A gateway over HTTP that writes its log to a file; yields its URL."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lg_gateway", "--transport", "http", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=program_environment(STACKS | environment),
        )
    try:
        yield _address(log, process), process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=START_S)
        kill_tree(process.pid)


def tool_call(name: str, arguments: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """Return the body of a call as a 2026 client sends it."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": name, "arguments": arguments, "_meta": envelope | meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def post(url: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    """Send one request of MCP."""
    named = {"Mcp-Method": body["method"], "Mcp-Name": body.get("params", {}).get("name", "")}
    return httpx2.post(f"{url}/mcp", content=json.dumps(body), headers=MODERN | named | headers, timeout=START_S)


def get(url: str, path: str, **headers: str) -> httpx2.Response:
    """Get a page of the gateway."""
    return httpx2.get(f"{url}{path}", headers=headers, timeout=START_S)


def eventually(condition: Any, seconds: float = START_S) -> None:
    """Wait until something outside this process has happened."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    found: list[str] = []

    def listening() -> bool:
        found[:] = re.findall(r"listening on (http://\S+)/mcp", log.read_text("utf-8", "replace"))
        assert process.poll() is None, log.read_text("utf-8", "replace")
        return bool(found)

    eventually(listening)
    return found[0]
