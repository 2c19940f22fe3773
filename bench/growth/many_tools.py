"""A server for the growth benches, of the standard library alone: a hundred of them start at once.

`python -P -S many_tools.py TOOLS SERVER` offers so many tools over stdio, in revision 2025-11-25. Each returns a text
of `bytes` characters. `SERVER` is part of their names.
"""

from __future__ import annotations

import json
import sys
from typing import Any

DESCRIPTION = "Return a text of the length that is asked for. The text has no meaning, and nothing is changed by it."


def tool(server: str, number: int) -> dict[str, Any]:
    """Return the definition of a tool."""
    properties: dict[str, Any] = {"bytes": {"type": "integer", "minimum": 0, "description": "How long the text is."}}
    for name in ("path", "pattern", "encoding"):
        properties[name] = {"type": "string", "description": f"The {name} that is looked at, if there is one."}
    return {
        "name": f"text_{server}_{number:02}",
        "description": DESCRIPTION,
        "inputSchema": {"type": "object", "properties": properties, "required": ["bytes"]},
        "annotations": {"readOnlyHint": True},
    }


def answer(method: str, params: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the result of a request; `None` for a method that there is not."""
    if method == "initialize":
        about = {"name": "many-tools", "version": "1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": tools}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "x" * params["arguments"]["bytes"]}], "isError": False}
    return {} if method == "ping" else None


def main() -> None:
    """Answer until the input ends."""
    tools = [tool(sys.argv[2], number) for number in range(int(sys.argv[1]))]
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params") or {}, tools)
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        said |= {"error": {"code": -32601, "message": "not found"}} if result is None else {"result": result}
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
