"""How a test puts a misbehaving server behind a gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.gateway.rig import FIXTURE

PROGRAM = FIXTURE.with_name("misbehaving_server.py")
OBJECT = {"type": "object"}


def named(*names: str) -> list[dict[str, Any]]:
    """Return plain definitions of these tools."""
    return [{"name": name, "inputSchema": OBJECT} for name in names]


def misbehaving(tmp_path: Path, name: str = "odd", settings: str = "", **plan: Any) -> str:
    """Return the settings of a server that does what `plan` says; `calls` are listed as tools by themselves."""
    path = tmp_path / f"{name}-plan.json"
    plan["tools"] = [*plan.get("tools", []), *named(*plan.get("calls", {}))]
    path.write_text(json.dumps(plan))
    lines = [f"[gateway.servers.{name}]", f"command = {json.dumps(sys.executable)}"]
    return "\n".join([*lines, f"args = {json.dumps([str(PROGRAM), str(path)])}", settings, ""])


def result(**fields: Any) -> str:
    """Return a line that answers with a result of these fields."""
    return '{"jsonrpc":"2.0","id":ID,"result":' + json.dumps(fields) + "}"


def said(words: str) -> str:
    """Return a line that answers with a text; `words` stand in it as JSON writes them."""
    return '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"' + words + '"}]}}'
