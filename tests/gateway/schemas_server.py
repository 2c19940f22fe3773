"""A server that is told by a file which schemas its tools have and what they all answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PLAN: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())


def say(number: int, **given: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", "id": number} | given), flush=True)


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "schemas", "version": "1"}}
        return {"result": {"protocolVersion": params["protocolVersion"]} | about}
    if method == "tools/list":
        tools = [
            {"name": name, "inputSchema": {"type": "object"}} | {key: {"type": "object"} | value}
            for name, schemas in PLAN["tools"].items()
            for key, value in schemas.items()
        ]
        return {"result": {"tools": tools}}
    if method == "tools/call":
        text = [{"type": "text", "text": "answered"}]
        return {"result": {"content": text, "structuredContent": PLAN["answer"]}}
    return {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("id") is not None:
        say(asked["id"], **answer(asked["method"], asked.get("params", {})))
