"""What the listed schemas say, and what the tools check instead of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fs.helpers import fs_client, write_tree
from tests.listed_schemas import problems

pytestmark = pytest.mark.anyio


async def test_the_listed_schemas_fit_the_strictest_clients(tmp_path: Path) -> None:
    with anyio.fail_after(60):
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
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails(tool, **arguments)
    assert error["code"] == "invalid_arguments"
    assert words in error["message"]
    assert error["hint"]


async def test_an_empty_alternative_beside_the_other_counts_as_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert (await fs.ok("read_file", path="a", paths=[]))["files"][0]["text"] == "1\n"
            patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch\n"
            assert (await fs.ok("apply_patch", patch=patch, changes=[], dry_run=True))["removed"] == 1
            assert (await fs.ok("read_file", path="a", start_line=1.0, line_count=1.0))["files"][0]["text"] == "1\n"


async def test_null_for_an_optional_argument_counts_as_left_out(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n2\n"})
    patch = "*** Begin Patch\n*** Update File: a\n@@\n-1\n+3\n*** End Patch\n"
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            read = {"path": "a", "paths": None, "start_line": None, "line_count": None, "line_numbers": None}
            assert (await fs.ok("read_file", **read))["files"][0]["text"] == "1\n2\n"
            assert (await fs.ok("read_file", path=None, paths=["a"]))["files"][0]["total_lines"] == 2
            listing = dict.fromkeys(["path", "recursive", "glob", "limit", "cursor", "include_ignored", "totals"])
            assert len((await fs.ok("list_files", **listing))["entries"]) == 1
            search = dict.fromkeys(["path", "glob", "context_lines", "case_sensitive", "multiline", "output", "limit"])
            assert (await fs.ok("search_files", regex="1", **search))["total_matches"] == 1
            changing = dict.fromkeys(["changes", "dry_run", "expected_sha256", "expected_paths"])
            done = await fs.ok("apply_patch", patch=patch, **changing)
            await fs.ok("revert_patch", change_id=done["change_id"], force=None, dry_run=None)
            assert len((await fs.ok("list_changes", limit=None))["changes"]) == 2


async def test_lists_and_objects_may_come_as_json_text(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n", "b": "2\n"})
    changes = json.dumps([{"path": "a", "op": "update", "content": "3\n"}])
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert len((await fs.ok("read_file", paths='["a", "b"]'))["files"]) == 2
            hashes = json.dumps({"a": hashlib.sha256(b"1\n").hexdigest()})
            await fs.ok("apply_patch", changes=changes, expected_sha256=hashes, expected_paths='["a"]')
            assert (await fs.fails("apply_patch", changes=changes, expected_sha256=hashes))["code"] == "conflict"
