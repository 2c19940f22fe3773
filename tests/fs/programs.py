"""`lg-fs` as a program of its own, over stdio."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

PROGRAM = [sys.executable, "-P", "-m", "lg_fs"]
WAIT_S = 60


def stdio(root: Path, *arguments: str) -> StdioServerParameters:
    keep = {name: value for name, value in os.environ.items() if name.startswith("XDG_")}
    return StdioServerParameters(
        command=PROGRAM[0], args=[*PROGRAM[1:], "--root", str(root), *arguments], env=keep, cwd=root.parent
    )


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result
    assert isinstance(result.structured_content, dict)
    return result.structured_content
