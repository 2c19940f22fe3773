"""A small MCP server of the 2025 era, from the standard library alone. Its tool runs Python code.

Tests start it in a sandbox and have it try things.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

TOOL = {"name": "attempt", "inputSchema": {"type": "object", "properties": {"code": {"type": "string"}}}}


def attempt(code: str) -> str:
    """Run code and return what it printed, or how it failed."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<attempt>", "exec"), {})
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever an attempt comes to is its result
        return f"{type(error).__name__}: {error}"
    return printed.getvalue().strip()


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        info = {"name": "confined", "version": "1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": attempt(params["arguments"]["code"])}]}
    return {} if method == "ping" else None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        result = answer(message["method"], message.get("params") or {})
        if result is None:
            reply["error"] = {"code": -32601, "message": "unknown method"}
        else:
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
