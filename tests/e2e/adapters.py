"""What docs/langchain-mcp-adapters.md shows, taken out of the page."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "langchain-mcp-adapters.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def adapters_requirements() -> list[str]:
    (command,) = blocks("sh")
    return shlex.split(command)[2:]


def program() -> str:
    (found,) = blocks("python")
    return found


def connection(transport: str) -> dict[str, Any]:
    (found,) = [one for block in blocks("json") if (one := json.loads(block))["transport"] == transport]
    return dict(found)
