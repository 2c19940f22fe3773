"""Ends a server a thousand times under one gateway, and counts what that holds: `python -m bench.soak.restarts`.

Each round makes a call in which the server ends, and one that is answered by the next process. Fails (status 1) if an
answer is missing, or if the gateway holds more at the end than after the first tenth. Its figures are counts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from bench.soak.processes import KINDS, MAY_GROW, Usage, below, usage

ANSWER_S = 60
SERVER = """
import json, sys
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("end", "echo")]
for line in sys.stdin:
    asked = json.loads(line)
    method, number = asked.get("method"), asked.get("id")
    if method == "tools/call" and asked["params"]["name"] == "end":
        sys.exit(3)
    if number is None:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "ends", "version": "1"}},
        "tools/list": {"tools": TOOLS},
        "tools/call": {"content": [{"type": "text", "text": "here"}]},
    }.get(method)
    answer = {"result": result} if result else {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": number} | answer), flush=True)
"""
SETTINGS = """
[gateway]
restart_backoff_s = 0.01
restart_backoff_max_s = 0.05
[[gateway.limits]]
calls_per_minute = 1_000_000
[[gateway.rules]]
tools = ["*"]
effect = "allow"
"""


def main() -> int:
    """End the server as often as was asked, and print what the gateway held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=1_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gateway.toml")
        own = f"[gateway.servers.ends]\ncommand = {json.dumps(sys.executable)}\n"
        config.write_text(f"{SETTINGS}{own}args = {json.dumps(['-I', '-S', '-c', SERVER])}\n", "utf-8")
        early, late = anyio.run(_rounds, folder, config, args.restarts)
    print("| | after a tenth | at the end |\n|---|---|---|")
    grown = False
    for kind in KINDS:
        first, last = getattr(early, kind), getattr(late, kind)
        grown |= last - first > MAY_GROW[kind]
        print(f"| {kind.replace('_', ' ')} | {first:.0f} | {last:.0f} |")
    return int(grown)


async def _rounds(folder: str, config: Path, restarts: int) -> tuple[Usage, Usage]:
    environ = {"HOME": folder, "PATH": os.environ["PATH"], "LG_START": "exec"}
    argv = ["-P", "-m", "lg_gateway", "--config", str(config)]
    before = set(below(os.getpid()))
    server = StdioServerParameters(command=sys.executable, args=argv, env=environ)
    early: Usage | None = None
    with _nowhere() as log:
        async with Client(stdio_client(server, errlog=log)) as client:
            gateway = min(set(below(os.getpid())) - before)
            for number in range(restarts):
                with anyio.fail_after(ANSWER_S):
                    await client.call_tool("ends__end", {})
                    answer = await client.call_tool("ends__echo", {})
                assert not answer.is_error, f"round {number}: {answer.content}"
                if number == restarts // 10:
                    early = usage(gateway)
            late = usage(gateway)
    assert early is not None and late is not None, "the gateway ended"
    return early, late


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
