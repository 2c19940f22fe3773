"""Taking change sets back."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import anyio
import pytest

from tests.fs.changes.support_patches import add, envelope, update
from tests.fs.helpers import fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

BIG = envelope(
    update("a", "1", "one"),
    add("new/deep/e", "5"),
    "*** Update File: b\n*** Move to: moved/b\n@@\n-2\n+two\n",
    "*** Update File: d\n*** Move to: d2\n",
    "*** Delete File: c\n",
)


async def test_a_revert_puts_everything_back_and_can_itself_be_reverted(tmp_path: Path) -> None:
    before = {"a": "1\n", "b": "2\n", "c": "3\n", "d": "4\n"}
    write_tree(tmp_path, before)
    (tmp_path / "c").chmod(0o750)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            change = (await fs.ok("apply_patch", patch=BIG))["change_id"]
            after = read_tree(tmp_path)
            revert = (await fs.ok("revert_patch", change_id=change))["change_id"]
            assert read_tree(tmp_path) == {name: text.encode() for name, text in before.items()}
            assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "d"]
            assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o750
            await fs.ok("revert_patch", change_id=revert)
            assert read_tree(tmp_path) == after


async def test_a_dry_run_shows_what_a_revert_would_do_and_does_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n", "b": "2\n", "c": "3\n", "d": "4\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            change = (await fs.ok("apply_patch", patch=BIG))["change_id"]
            after = read_tree(tmp_path)
            shown = await fs.ok("revert_patch", change_id=change, dry_run=True)
            assert read_tree(tmp_path) == after
            other = {file["path"]: "0" * 64 for file in shown["files"] if file["path"] == "a"}
            error = await fs.fails("revert_patch", change_id=change, expected_sha256=other)
            seen = {file["path"]: file["before_sha256"] for file in shown["files"] if file["before_sha256"]}
            done = await fs.ok("revert_patch", change_id=change, expected_sha256=seen)
    assert (shown["change_id"], shown["dry_run"]) == (None, True)
    assert "-one\n+1\n" in shown["diff"]
    assert error["code"] == "conflict"
    assert done["diff"] == shown["diff"]


async def test_a_file_that_changed_since_stops_the_revert_and_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n", "b": "2\n", "c": "3\n", "d": "4\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            change = (await fs.ok("apply_patch", patch=BIG))["change_id"]
            write_tree(tmp_path, {"a": "mine\n", "c": "mine too\n"})
            now = read_tree(tmp_path)
            error = await fs.fails("revert_patch", change_id=change)
            forced = await fs.fails("revert_patch", change_id=change, force=True)
    assert error["code"] == "conflict"
    assert "a, c" in error["message"]
    assert forced["code"] == "policy_denied"
    assert read_tree(tmp_path) == now


async def test_force_overwrites_where_the_settings_allow_it(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"allow_force_revert": True}}) as fs:
            change = (await fs.ok("apply_patch", patch=envelope(update("a", "1", "2"))))["change_id"]
            write_tree(tmp_path, {"a": "mine\n"})
            forced = (await fs.ok("revert_patch", change_id=change, force=True))["change_id"]
            assert read_tree(tmp_path) == {"a": b"1\n"}
            await fs.ok("revert_patch", change_id=forced)
    assert read_tree(tmp_path) == {"a": b"mine\n"}


async def test_a_change_is_reverted_once(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            change = (await fs.ok("apply_patch", patch=envelope(add("a", "1"))))["change_id"]
            await fs.ok("revert_patch", change_id=change)
            again = await fs.fails("revert_patch", change_id=change)
            unknown = await fs.fails("revert_patch", change_id="0" * 16)
    assert (again["code"], unknown["code"]) == ("conflict", "not_found")


async def test_changes_are_listed_newest_first_with_what_reverted_them(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            ids = [(await fs.ok("apply_patch", patch=envelope(add(f"f{n}", "x"))))["change_id"] for n in range(3)]
            revert = (await fs.ok("revert_patch", change_id=ids[1]))["change_id"]
            found = (await fs.ok("list_changes"))["changes"]
            two = (await fs.ok("list_changes", limit=2))["changes"]
    assert [change["change_id"] for change in found] == [revert, ids[2], ids[1], ids[0]]
    assert [(change["kind"], change["reverted_by"]) for change in found] == [
        ("revert", None),
        ("patch", None),
        ("patch", revert),
        ("patch", None),
    ]
    assert two == found[:2]
    assert found[1]["files"] == [{"path": "f2", "op": "add", "to": None}]


async def test_the_journal_stays_within_its_number_of_changes(tmp_path: Path, clean_environment: Path) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"journal_max_changes": 3}}) as fs:
            ids = [(await fs.ok("apply_patch", patch=envelope(add(f"f{n}", "x"))))["change_id"] for n in range(6)]
            found = (await fs.ok("list_changes"))["changes"]
    assert [change["change_id"] for change in found] == ids[:2:-1]
    assert len(list(clean_environment.glob("state/lg/*/fs/*/changes/*"))) == 3


async def test_the_journal_stays_within_its_bytes(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "0" * 50_000 + "\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"journal_max_bytes": 400_000}}) as fs:
            for n in range(8):
                await fs.ok("apply_patch", changes=[{"path": "a", "op": "update", "content": str(n) * 50_000}])
            found = (await fs.ok("list_changes"))["changes"]
    assert 1 <= len(found) < 8


async def test_the_journal_forgets_changes_that_are_too_old_except_the_newest(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "0\n"})
    settings = {"fs": {"journal_days": 0.000_001}}
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings=settings) as fs:
            for number in range(3):
                await fs.ok("apply_patch", changes=[{"path": "a", "op": "update", "content": f"{number + 1}\n"}])
                while time.time() - (tmp_path / "a").stat().st_mtime < 0.1:
                    await anyio.sleep(0.01)
            kept = (await fs.ok("list_changes"))["changes"]
    assert len(kept) == 1


async def test_a_revert_obeys_the_rules_of_today(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            change = (await fs.ok("apply_patch", patch=envelope(update("a", "1", "2"))))["change_id"]
        async with fs_client(tmp_path, settings={"policy": {"write_deny": ["/a"]}}) as fs:
            error = await fs.fails("revert_patch", change_id=change)
    assert error["code"] == "policy_denied"
    assert read_tree(tmp_path) == {"a": b"2\n"}
