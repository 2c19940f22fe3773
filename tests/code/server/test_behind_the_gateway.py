"""`lg-code` as a program of its own, behind a real gateway, for a real client."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.types import CallToolResult

from tests.fs.helpers import write_tree
from tests.gateway.rig import client_of, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

SETTINGS = '[gateway.servers.code]\nbuiltin = "code"\n[policy]\nread_deny = ["secrets/"]\n'


async def test_a_client_of_the_gateway_finds_code_and_every_call_is_checked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a.py": "def one(): pass\n", "b.py": "one()\n", "secrets/c.py": "def two(): one()\n"})
    config = write_config(tmp_path, SETTINGS)
    state = tmp_path / "state"
    serve = ("serve", "--root", str(root), "--config", str(config), "--state-dir", str(state))
    async with client_of(*serve) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        ours = {name.removeprefix("code__") for name in listed if name.startswith("code__")}
        assert ours >= {"repo_map", "find_symbol", "read_symbol", "outline", "references", "tests_for"}
        hints = [listed[f"code__{name}"].annotations for name in ours]
        assert all(hint is not None and hint.read_only_hint for hint in hints)
        found = await client.call_tool("code__references", {"name": "one"})
        assert isinstance(found, CallToolResult)
        assert not found.is_error, found
        assert found.structured_content is not None
        places = [(entry["path"], entry["kind"]) for entry in found.structured_content["references"]]
        assert places == [("a.py", "definition"), ("b.py", "call")]
        hidden = await client.call_tool("code__outline", {"path": "secrets/c.py"})
        assert isinstance(hidden, CallToolResult)
        assert hidden.structured_content is not None
        assert hidden.structured_content["error"]["code"] == "policy_denied"
    (index,) = (state / "code").glob("index-*.sqlite3")
    assert b"secrets" not in index.read_bytes()
