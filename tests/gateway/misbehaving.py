"""How a test puts a misbehaving server behind a gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gateway.fixture_program import FIXTURE

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


@contextmanager
def misbehaving_over_http(tmp_path: Path, name: str = "odd", **plan: Any) -> Iterator[str]:
    """Run the server over HTTP; yields its settings."""
    path = tmp_path / f"{name}-plan.json"
    plan["tools"] = [*plan.get("tools", []), *named(*plan.get("calls", {}))]
    path.write_text(json.dumps(plan | {"http": True}))
    process = subprocess.Popen([sys.executable, str(PROGRAM), str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f'[gateway.servers.{name}]\nurl = "http://127.0.0.1:{int(process.stdout.readline())}/mcp"\n'
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def result(**fields: Any) -> str:
    """Return a line that answers with a result of these fields."""
    return '{"jsonrpc":"2.0","id":ID,"result":' + json.dumps(fields) + "}"


def said(words: str) -> str:
    """Return a line that answers with a text; `words` stand in it as JSON writes them."""
    return '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"' + words + '"}]}}'
