"""What `apply_patch` does to a tree, and what it leaves alone."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_fs.patch.parse import parse_patch
from tests.fs.changes.support_patches import add, envelope, update
from tests.fs.helpers import FsClient, fs_client, read_tree, text_of, write_tree

pytestmark = pytest.mark.anyio


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_one_patch_adds_updates_moves_and_deletes(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n", "b": "2\n", "c": "3\n", "d": "4\n"})
    patch = envelope(
        update("a", "1", "one"),
        add("new/deep/e", "5"),
        "*** Update File: b\n*** Move to: moved/b\n@@\n-2\n+two\n",
        "*** Update File: d\n*** Move to: d2\n",
        "*** Delete File: c\n",
    )
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok("apply_patch", patch=patch)
    assert read_tree(tmp_path) == {"a": b"one\n", "new/deep/e": b"5\n", "moved/b": b"two\n", "d2": b"4\n"}
    assert [(f["op"], f["path"], f["to"], f["added"], f["removed"], f["match"]) for f in result["files"]] == [
        ("update", "a", None, 1, 1, "exact"),
        ("add", "new/deep/e", None, 1, 0, None),
        ("move", "b", "moved/b", 1, 1, "exact"),
        ("move", "d", "d2", 0, 0, None),
        ("delete", "c", None, 0, 1, None),
    ]
    assert (result["added"], result["removed"]) == (3, 3)
    assert (result["files"][0]["before_sha256"], result["files"][0]["after_sha256"]) == (
        digest(b"1\n"),
        digest(b"one\n"),
    )


async def test_the_returned_diff_makes_the_same_change_elsewhere(tmp_path: Path) -> None:
    before = {"a": "1\n2\n3\n", "b": "x\ny", "gone": "1\n2\n", "old": "m\n"}
    write_tree(tmp_path / "one", before)
    write_tree(tmp_path / "two", before)
    patch = envelope(
        update("a", "2", "two"),
        update("b", "y", "z"),
        add("n", "new"),
        "*** Delete File: gone\n",
        "*** Update File: old\n*** Move to: new-name\n@@\n-m\n+n\n",
    )
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one") as fs:
            diff = (await fs.ok("apply_patch", patch=patch))["diff"]
        async with fs_client(tmp_path / "two") as fs:
            await fs.ok("apply_patch", patch=diff)
    assert read_tree(tmp_path / "two") == read_tree(tmp_path / "one")
    assert len(parse_patch(diff)) == 5


async def test_a_dry_run_shows_the_diff_and_changes_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.call("apply_patch", patch=envelope(update("a", "1", "2")), dry_run=True)
            assert (await fs.ok("list_changes"))["changes"] == []
    assert result.structured_content is not None
    assert result.structured_content["change_id"] is None
    assert "-1\n+2\n" in result.structured_content["diff"]
    assert "-1\n+2\n" in text_of(result)
    assert read_tree(tmp_path) == {"a": b"1\n"}


@pytest.mark.parametrize(
    "bad",
    [
        update("b", "not there", "x"),
        "*** Delete File: missing\n",
        add("b", "exists"),
        add("../outside", "x"),
        add(".git/hooks/post-commit", "x"),
        add("a", "twice"),
        add("./a//", "twice"),
        "*** Update File: b\n*** Move to: a\n",
        add("b/c", "below a file"),
    ],
)
async def test_when_one_operation_fails_nothing_is_applied_and_it_is_named(tmp_path: Path, bad: str) -> None:
    before = {"a": "1\n", "b": "2\n"}
    write_tree(tmp_path / "root", before)
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "root") as fs:
            error = await fs.fails("apply_patch", patch=envelope(update("a", "1", "one"), add("c", "new"), bad))
    assert "operation 3" in error["message"] or "already part" in error["message"]
    assert read_tree(tmp_path) == {f"root/{name}": text.encode() for name, text in before.items()}
    assert sorted(os.listdir(tmp_path / "root")) == ["a", "b"]


async def test_permissions_are_kept_and_a_new_script_may_be_executable(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tool": "a\n", "private": "a\n"})
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "private").chmod(0o600)
    diff = "diff --git a/x b/x\nnew file mode 100755\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+true\n"
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            await fs.ok("apply_patch", patch=envelope(update("tool", "a", "b"), update("private", "a", "b")))
            await fs.ok("apply_patch", patch=diff)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("tool", "private", "x")}
    assert modes["tool"] == 0o755
    assert modes["private"] == 0o600
    assert modes["x"] & 0o111


async def test_whole_files_are_given_as_changes(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\r\n2\r\n", "b": "x\n", "c": "y\n"})
    changes = [
        {"path": "a", "op": "update", "content": "1\n3\n"},
        {"path": "b", "op": "delete"},
        {"path": "c", "op": "move", "to": "d", "content": "z\n"},
        {"path": "e", "op": "add", "content": "no newline"},
    ]
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            await fs.ok("apply_patch", changes=changes)
    assert read_tree(tmp_path) == {"a": b"1\r\n3\r\n", "d": b"z\n", "e": b"no newline"}


async def test_a_file_that_changed_since_it_was_read_is_a_conflict(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n", "b": "1\n"})
    patch = envelope(update("a", "1", "2"))
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            seen = (await fs.ok("read_file", path="a"))["files"][0]["sha256"]
            (tmp_path / "b").write_text("changed\n")
            wrong = await fs.fails("apply_patch", patch=patch, expected_sha256={"./a": "0" * 64})
            other = await fs.fails("apply_patch", patch=patch, expected_sha256={"a": seen, "b": seen})
            there = await fs.fails("apply_patch", patch=patch, expected_sha256={"b": None})
            await fs.ok("apply_patch", patch=patch, expected_sha256={"a": seen, "new": None})
    assert (wrong["code"], other["code"], there["code"]) == ("conflict", "conflict", "conflict")
    assert read_tree(tmp_path)["a"] == b"2\n"


async def test_a_fuzzy_match_is_reported(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "def f():\n        return 1   \n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.call("apply_patch", patch=envelope(update("a", "return 1", "return 2")))
    assert "matched ignoring leading whitespace" in text_of(result)
    assert read_tree(tmp_path)["a"] == b"def f():\n        return 2\n"


async def test_a_symlink_to_a_file_inside_is_written_through_and_stays_a_link(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real/a": "1\n"})
    (tmp_path / "link").symlink_to("real/a")
    (tmp_path / "dir").symlink_to("real")
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok("apply_patch", patch=envelope(update("link", "1", "2"), add("dir/b", "new")))
            for gone in ("*** Delete File: link\n", "*** Update File: link\n*** Move to: x\n"):
                error = await fs.fails("apply_patch", patch=envelope(gone))
                assert error["code"] == "invalid_arguments"
    assert [file["path"] for file in result["files"]] == ["real/a", "real/b"]
    assert (tmp_path / "link").is_symlink()
    assert read_tree(tmp_path / "real") == {"a": b"2\n", "b": b"new\n"}


async def test_one_file_by_two_names_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n2\n"})
    (tmp_path / "link").symlink_to("a")
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"write_hard_links": True}}) as fs:
            first = await fs.fails("apply_patch", patch=envelope(update("a", "1", "x"), update("link", "2", "y")))
            os.link(tmp_path / "a", tmp_path / "hard")
            second = await fs.fails("apply_patch", patch=envelope(update("a", "1", "x"), update("hard", "2", "y")))
    assert (first["code"], second["code"]) == ("invalid_arguments", "invalid_arguments")
    assert read_tree(tmp_path)["a"] == b"1\n2\n"


async def test_limits_hold_for_bytes_files_and_results(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    limits = {"patch_max_bytes": 400, "patch_max_files": 2, "patch_max_file_bytes": 100}
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": limits}) as fs:
            errors = [
                await fs.fails("apply_patch", patch=envelope(add("b", "x" * 500))),
                await fs.fails("apply_patch", patch=envelope(add("b", "x"), add("c", "x"), add("d", "x"))),
                await fs.fails("apply_patch", patch=envelope(add("b", "x" * 101))),
                await fs.fails("apply_patch", patch=envelope(update("a", "1", "x" * 101))),
            ]
    assert [error["code"] for error in errors] == ["too_large"] * 4
    assert read_tree(tmp_path) == {"a": b"1\n"}


async def test_binary_content_is_not_written_but_binary_files_move_and_go(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.png": b"\x89PNG\0\0", "b.png": b"\x89PNG\0\1"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            changed = await fs.fails("apply_patch", changes=[{"path": "a.png", "op": "update", "content": "x"}])
            added = await fs.fails("apply_patch", changes=[{"path": "c", "op": "add", "content": "a\0b"}])
            gone = await fs.ok(
                "apply_patch",
                changes=[{"path": "a.png", "op": "delete"}, {"path": "b.png", "op": "move", "to": "c.png"}],
            )
            await fs.ok("revert_patch", change_id=gone["change_id"])
    assert (changed["code"], added["code"]) == ("policy_denied", "policy_denied")
    assert "Binary files a/a.png and /dev/null differ" in gone["diff"]
    assert read_tree(tmp_path) == {"a.png": b"\x89PNG\0\0", "b.png": b"\x89PNG\0\1"}


async def test_concurrent_patches_of_one_file_lose_no_update(tmp_path: Path) -> None:
    write_tree(tmp_path, {"n": "".join(f"line {n}\n" for n in range(30))})

    async def change(fs: FsClient, n: int) -> None:
        await fs.ok("apply_patch", patch=envelope(update("n", f"line {n}", f"LINE {n}"), add(f"f{n}", str(n))))

    with anyio.fail_after(60):
        async with fs_client(tmp_path) as one, fs_client(tmp_path) as two, anyio.create_task_group() as group:
            for n in range(30):
                group.start_soon(change, one if n % 2 else two, n)
    tree = read_tree(tmp_path)
    assert tree.pop("n") == "".join(f"LINE {n}\n" for n in range(30)).encode()
    assert tree == {f"f{n}": f"{n}\n".encode() for n in range(30)}


async def test_a_repeated_key_answers_again_and_does_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1\n"})
    arguments: dict[str, Any] = {"patch": envelope(add("b", "x"))}
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            first = await fs.with_key("run:1", "apply_patch", **arguments)
        (tmp_path / "b").unlink()
        async with fs_client(tmp_path) as fs:  # another server: the key is in the journal
            again = await fs.with_key("run:1", "apply_patch", **arguments)
            other = await fs.with_key("run:1", "apply_patch", patch=envelope(add("c", "x")))
    assert not first.is_error
    assert not again.is_error
    assert isinstance(first.structured_content, dict)
    assert again.structured_content == {**first.structured_content, "replayed": True}
    assert other.is_error
    assert read_tree(tmp_path) == {"a": b"1\n"}


@pytest.mark.parametrize(
    ("before", "hunk", "words"),
    [
        (b"a\r\nb\r\n", " a\r\n-b\r\n+b\n", "keeps the line breaks"),
        (b"a\nb\n", " a\n-b\n+b\n", "those that are there"),
    ],
)
async def test_a_patch_that_leaves_its_file_as_it_is_is_refused_and_says_why(
    tmp_path: Path, before: bytes, hunk: str, words: str
) -> None:
    write_tree(tmp_path, {"f": before})
    async with fs_client(tmp_path) as fs:
        error = await fs.fails("apply_patch", patch=f"--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n{hunk}")
    assert error["code"] == "conflict"
    assert words in error["hint"]
