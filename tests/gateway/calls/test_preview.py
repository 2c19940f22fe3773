"""A change to files is approved by its diff and executed on exactly the files that the diff was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.approvals.support_approvals import approve, asked_client, yes
from tests.gateway.calls.support_fs import PATCH, fs_gateway, patch
from tests.gateway.rig import text_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    place.mkdir()
    (place / "note.txt").write_text("one\n")
    return place


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_human_sees_the_diff_and_the_file_is_changed_after_the_yes(
    tmp_path: Path, root: Path, mode: str
) -> None:
    seen: list[str] = []
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        async with asked_client(gateway, mode, yes, seen) as client:
            result = await client.call_tool("fs__apply_patch", {"patch": PATCH})

    assert not result.is_error
    assert "| -one" in seen[0]
    assert "| +two" in seen[0]
    assert (root / "note.txt").read_text() == "two\n"


async def test_the_human_sees_what_a_revert_would_put_back_and_that_a_new_file_can_be_run(
    tmp_path: Path, root: Path
) -> None:
    seen: list[str] = []
    script = "diff --git a/run b/run\nnew file mode 100755\n--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        async with asked_client(gateway, "2026-07-28", yes, seen) as client:
            made = await client.call_tool("fs__apply_patch", {"patch": script})
            changed = await client.call_tool("fs__apply_patch", {"patch": PATCH})
            change_id = changed.structured_content["change_id"]
            reverted = await client.call_tool("fs__revert_patch", {"change_id": change_id})

    assert [made.is_error, changed.is_error, reverted.is_error] == [False] * 3
    assert "| new file mode 100755" in seen[0]
    assert (root / "run").stat().st_mode & 0o100
    assert f'| change_id: "{change_id}"' in seen[2]
    assert "| -two\n| +one" in seen[2]
    assert (root / "note.txt").read_text() == "one\n"


async def test_a_file_that_changed_after_the_diff_was_shown_is_a_conflict_and_untouched(
    tmp_path: Path, root: Path
) -> None:
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        first = await patch(gateway)
        await approve(gateway, first.structured_content["error"]["approval_id"])
        (root / "note.txt").write_text("one\nand more\n")
        second = await patch(gateway)

    assert second.structured_content["error"]["code"] == "conflict"
    assert (root / "note.txt").read_text() == "one\nand more\n"


async def test_a_patch_that_would_fail_is_refused_before_anybody_is_asked(tmp_path: Path, root: Path) -> None:
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        (root / "note.txt").write_text("other\n")
        result = await patch(gateway)
        waiting = gateway.store.read_now(lambda tx: gateway.approvals.pending(tx, 0))

    assert result.is_error
    assert result.structured_content["error"]["code"] != "approval_required"
    assert waiting == []


async def test_a_preview_alone_needs_no_approval(tmp_path: Path, root: Path) -> None:
    async with fs_gateway(tmp_path, root) as gateway:
        await gateway.settled()
        result = await patch(gateway, dry_run=True)

    assert not result.is_error
    assert "+two" in text_of(result)
    assert (root / "note.txt").read_text() == "one\n"
