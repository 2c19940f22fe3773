"""Entries of an `mcpServers` file that nobody can use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.clients.reading import read_client_file

pytestmark = pytest.mark.usefixtures("programs_by_fork")

ENTRIES: dict[str, Any] = {
    "arguments with an open quotation mark": {"command": "a", "args": "it's"},
    "a type that is a list": {"command": "a", "type": ["stdio"]},
    "a NUL in the command": {"command": "a\0b"},
    "a NUL in the directory": {"command": "a", "cwd": "a\0b"},
    "half a surrogate pair in a variable": {"command": "a", "env": {"TOKEN": "geheim\ud800"}},
    "a NUL in a header": {"url": "http://127.0.0.1/x", "headers": {"X": "geheim\0"}},
    "null": None,
    "a placeholder for a secret that was given for another file": {"command": "a", "args": ["${secret:geheim-1}"]},
    "a placeholder that no client has": {"command": "a", "env": {"TOKEN": "${geheim.of.nobody}"}},
    "a text of 5 MB": {"command": "a", "args": ["geheim" * 1_000_000]},
    "the gateway itself": {"command": "/usr/local/bin/lg-gateway", "args": ["--config", "geheim"]},
    "the gateway itself, as a module": {"command": "python3", "args": ["-m", "lg_gateway", "geheim"]},
}


@pytest.mark.attack("Servers", "one entry of an mcp.json with a value that breaks what reads it")
@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_that_cannot_be_used_costs_that_entry_alone(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"good": {"command": "true"}, "odd": ENTRIES[name]}}))
    found = read_client_file(file)

    assert list(found.servers) == ["good"]
    assert "mcpServers.odd" in found.problem("odd").text()
    assert "geheim" not in found.problem("odd").text() or "placeholder" in name


@pytest.mark.attack("Servers", "an mcp.json as a Windows shell writes it, and a home directory of nobody")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_file_is_read_in_each_encoding_that_json_may_have(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "mcp.json"
    entry = {"command": "a", "cwd": "~nobody-of-that-name/x", "env": {"A": None, "B": "é"}}
    file.write_bytes(json.dumps({"mcpServers": {"odd": entry}}, ensure_ascii=False).encode(encoding))

    assert dict(read_client_file(file).servers["odd"].env) == {"B": "é"}
