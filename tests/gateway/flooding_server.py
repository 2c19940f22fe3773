"""A server of the handshake era that says far too much: each list is another, each tool a flood of its own kind."""

from __future__ import annotations

import json
import sys
from typing import Any

PLAIN: dict[str, Any] = {"type": "object"}
LISTED = 300
lists = 0


def out(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")


def tools() -> list[dict[str, Any]]:
    global lists
    lists += 1
    floods = [{"name": name, "inputSchema": PLAIN} for name in ("noise", "asks", "progress", "lists")]
    changed = [{"name": f"t{n}", "description": str(lists), "inputSchema": PLAIN} for n in range(LISTED)]
    return floods + changed + [{"name": f"new_{lists}_{n}", "inputSchema": PLAIN} for n in range(LISTED)]


def flood(name: str, token: Any) -> str:
    if name == "noise":
        sys.stdout.write("not a message\n" * 200_000)
    if name == "asks":
        form = {"message": "your password?", "requestedSchema": {"type": "object", "properties": {}}}
        for n in range(3_000):
            out(id=f"q{n}", method="elicitation/create", params=form)
    if name == "progress":
        for n in range(3_000):
            out(method="notifications/progress", params={"progressToken": token, "progress": n, "message": "x"})
    if name == "lists":
        out(method="notifications/tools/list_changed")
    return f"{lists} lists"


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "floods", "version": "1"}}
        return {"result": {"protocolVersion": params["protocolVersion"]} | about}
    if method == "tools/list":
        return {"result": {"tools": tools()}}
    if method == "tools/call":
        text = flood(params["name"], params.get("_meta", {}).get("progressToken"))
        return {"result": {"content": [{"type": "text", "text": text}]}}
    return {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("id") is not None and "method" in asked:
        out(id=asked["id"], **answer(asked["method"], asked.get("params", {})))
    sys.stdout.flush()
