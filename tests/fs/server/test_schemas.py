"""What the listed schemas say, and what the tools check instead of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fs.helpers import fs_client, write_tree
from tests.listed_schemas import problems

pytestmark = pytest.mark.anyio


async def test_the_listed_schemas_fit_the_strictest_clients(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with fs_client(tmp_path) as fs:
            tools = (await fs.client.list_tools()).tools
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(listed) == 6
    assert problems(listed) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "oneOf": []}, "oneOf at the top"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/x"}}}}, "a.items: has $ref"),
        ({"type": "object", "$defs": {}}, "$defs"),
        ({"type": "object", "properties": {"a": {"enum": ["x"]}}}, "enum without a type"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "array without items"),
        ({}, "type object"),
        (True, "no object"),
    ],
)
def test_what_a_strict_client_refuses_is_found(schema: Any, problem: str) -> None:
    (found,) = problems([{"name": "t", "inputSchema": schema}])
    assert problem in found


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("read_file", {}, "needs path or paths"),
        ("read_file", {"path": "a", "paths": ["a"]}, "and not both"),
        ("read_file", {"paths": []}, "needs path or paths"),
        ("apply_patch", {"dry_run": True}, "needs patch or changes"),
        ("apply_patch", {"patch": "x", "changes": [{"path": "a", "op": "delete"}]}, "and not both"),
        ("apply_patch", {"changes": []}, "needs patch or changes"),
    ],
)
async def test_alternatives_are_checked_by_the_tool_and_named(
    tmp_path: Path, tool: str, arguments: dict[str, Any], words: str
) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(20):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails(tool, **arguments)
    assert error["code"] == "invalid_arguments"
    assert words in error["message"]
    assert error["hint"]


async def test_an_empty_alternative_beside_the_other_counts_as_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(20):
        async with fs_client(tmp_path) as fs:
            assert (await fs.ok("read_file", path="a", paths=[]))["files"][0]["text"] == "1\n"
            patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch\n"
            assert (await fs.ok("apply_patch", patch=patch, changes=[], dry_run=True))["removed"] == 1
            assert (await fs.ok("read_file", path="a", start_line=1.0, line_count=1.0))["files"][0]["text"] == "1\n"
