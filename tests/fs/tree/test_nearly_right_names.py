"""Paths that are nearly right: opened where one file is certainly meant, else answered with the name to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fs.helpers import fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

DECOMPOSED, COMPOSED = "Bu\u0308cher", "B\u00fccher"
SHOT = "Shot at 1.00\u202fPM.txt"


@pytest.mark.parametrize(
    ("there", "given"),
    [
        (f"{DECOMPOSED}/n.md", f"{COMPOSED}/n.md"),
        (f"{COMPOSED}/n.md", f"{DECOMPOSED}/n.md"),
        (f"d/{SHOT}", "d/Shot at 1.00 PM.txt"),
        ("a\u00a0b.txt", "a b.txt"),
        (f"{DECOMPOSED} x/{SHOT}", f"{COMPOSED}\u2009x/Shot at 1.00 PM.txt"),
    ],
)
async def test_a_name_equal_in_unicode_form_is_opened_by_every_tool(tmp_path: Path, there: str, given: str) -> None:
    write_tree(tmp_path, {there: "1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            (file,) = (await fs.ok("read_file", path=given))["files"]
            assert file["path"] == there
            assert (await fs.ok("search_files", path=given, regex="1"))["files_matched"] == 1
            if "/" in given:
                entries = (await fs.ok("list_files", path=given.rpartition("/")[0]))["entries"]
                assert [entry["path"] for entry in entries] == [there]
            await fs.ok(
                "apply_patch",
                changes=[{"path": given, "op": "update", "content": "2\n"}],
                expected_sha256={given: file["sha256"]},
            )
            error = await fs.fails("apply_patch", changes=[{"path": given, "op": "add", "content": "3\n"}])
            assert error["code"] == "conflict"
    assert read_tree(tmp_path) == {there: b"2\n"}


async def test_an_exact_name_wins_over_an_equal_one_and_two_equal_ones_are_none(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a b": "plain", "a\u00a0b": "no break", "c\u00a0d": "1", "c\u202fd": "2"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert (await fs.ok("read_file", path="a b"))["files"][0]["text"] == "plain"
            assert (await fs.ok("read_file", path="a\u00a0b"))["files"][0]["text"] == "no break"
            error = await fs.fails("read_file", path="c d")
    assert error["code"] == "not_found"
    assert "c\\u00a0d" in error["hint"]


async def test_an_address_of_a_file_is_taken_as_its_path(tmp_path: Path) -> None:
    write_tree(tmp_path, {"src/a b.py": "x\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            for path in ("file:///src/a%20b.py", f"file://{tmp_path}/src/a%20b.py", "FILE://localhost/src/a%20b.py"):
                assert (await fs.ok("read_file", path=path))["files"][0]["path"] == "src/a b.py"
            assert len((await fs.ok("list_files", path="file:///src"))["entries"]) == 1
            assert len((await fs.ok("list_files", path=f"file://{tmp_path}"))["entries"]) == 1
            await fs.ok("apply_patch", changes=[{"path": "file:///src/a%20b.py", "op": "update", "content": "y\n"}])
            codes = [
                (await fs.fails("read_file", path=path))["code"]
                for path in (
                    "file://elsewhere/a",
                    "file:///../x",
                    "file:///src/%2e%2e/%2e%2e/etc/passwd",
                    "file:///a%00b",
                )
            ]
    assert codes == ["invalid_arguments", "policy_denied", "policy_denied", "invalid_arguments"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("src/f41.txt", "there is 'f41.txt'"),
        ("a/lib/main.py", "there is 'lib/main.py'"),
        ("project/lib/main.py", "there is 'lib/main.py'"),
        ("lib\\main.py", 'separate names with "/"'),
        ("/lib/main.py", "there is 'lib/main.py'"),
        ("/home/somebody/project/lib/main.py", "there is 'lib/main.py'"),
    ],
)
async def test_a_path_that_begins_with_too_much_is_answered_with_the_right_one(
    tmp_path: Path, path: str, hint: str
) -> None:
    write_tree(tmp_path, {"f41.txt": "x", "lib/main.py": "x", ".env": "SECRET"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            for tool, arguments in (
                ("read_file", {"path": path}),
                ("search_files", {"path": path, "regex": "."}),
                ("apply_patch", {"changes": [{"path": path, "op": "update", "content": "y"}]}),
            ):
                assert hint in (await fs.fails(tool, **arguments))["hint"], tool
            for hidden in ("src/.env", "/src/.env"):
                assert ".env'" not in (await fs.fails("read_file", path=hidden))["hint"]


async def test_a_new_name_with_a_backslash_is_refused(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", changes=[{"path": "src\\a.py", "op": "add", "content": "x"}])
    assert "contains a backslash" in error["message"]
    assert read_tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ('["*.txt"]', ["a.txt"]),
        ('["*.txt", "*.py"]', ["a.txt", "b.py"]),
        ('["!*.txt"]', ["b.py", "c.md"]),
        ("[ab].*", ["a.txt", "b.py"]),
        ("", ["a.txt", "b.py", "c.md"]),
        ("[]", ["a.txt", "b.py", "c.md"]),
        ([], ["a.txt", "b.py", "c.md"]),
    ],
)
async def test_a_glob_that_is_a_list_as_text_counts_as_the_list(tmp_path: Path, glob: Any, found: list[str]) -> None:
    write_tree(tmp_path, {"a.txt": "x", "b.py": "x", "c.md": "x"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            listed = await fs.ok("list_files", glob=glob, cursor="")
            searched = await fs.ok("search_files", regex="x", glob=glob, output="files", cursor="")
    assert [entry["path"] for entry in listed["entries"]] == found
    assert [file["path"] for file in searched["files"]] == found


async def test_content_for_a_file_with_a_byte_order_mark_does_not_double_it(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.txt": b"\xef\xbb\xbfone\r\n", "w.txt": "\ufeffone\n".encode("utf-16-le")})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            for path in ("a.txt", "w.txt"):
                await fs.ok("apply_patch", changes=[{"path": path, "op": "update", "content": "\ufefftwo\n"}])
    assert read_tree(tmp_path) == {"a.txt": b"\xef\xbb\xbftwo\r\n", "w.txt": "\ufefftwo\n".encode("utf-16-le")}


@pytest.mark.parametrize(
    "path", ["lib\\main.py", "lib\\\\main.py", "`lib/main.py`", '"lib/main.py"', "File: lib/main.py", "\\154ib/main.py"]
)
@pytest.mark.parametrize("op", ["update", "delete", "move"])
async def test_a_path_that_rules_judged_is_read_in_no_other_way(tmp_path: Path, path: str, op: str) -> None:
    write_tree(tmp_path, {"lib/main.py": "x"})
    change = {"path": path, "op": op, **{"update": {"content": "y"}, "move": {"to": "b"}, "delete": {}}[op]}
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", changes=[change])
    assert error["code"] == "not_found"
    assert (tmp_path / "lib" / "main.py").read_text() == "x"
