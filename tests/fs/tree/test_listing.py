"""What `list_files` answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_fs.server import schemas
from tests.fs.helpers import FsClient, detailed, fs_client, text_of, write_tree

pytestmark = pytest.mark.anyio

TREE = {
    "a.py": "1\n2\n",
    "b/c.py": "1\n",
    "b/d/e.txt": "x",
    "b/d/f.py": "1\n2\n3\n",
    "b-x/g.py": "1\n",
    "z": "",
}


async def pages(fs: FsClient, **arguments: Any) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await fs.ok("list_files", **arguments, **cursor)
        found += [entry["path"] for entry in page["entries"]]
        assert page["truncated"] is (page["next_cursor"] is not None)
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_a_directory_is_listed_sorted_with_type_size_and_time(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / "link").symlink_to("a.py")
    os.mkfifo(tmp_path / "pipe")
    os.utime(tmp_path / "a.py", (1_000_000_000, 1_000_000_000))
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            entries = (await fs.ok("list_files"))["entries"]
    assert [(entry["path"], entry["type"]) for entry in entries] == [
        ("a.py", "file"),
        ("b", "dir"),
        ("b-x", "dir"),
        ("link", "symlink"),
        ("pipe", "other"),
        ("z", "file"),
    ]
    assert entries[0] == {"path": "a.py", "type": "file", "size": 4, "mtime": "2001-09-09T01:46:40Z"}
    detailed(schemas.LIST_ENTRY, entries)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_any_size_make_the_same_whole(tmp_path: Path, limit: int) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            found = await pages(fs, recursive=True, limit=limit)
    assert found == ["a.py", "b", "b-x", "z", "b/c.py", "b/d", "b/d/e.txt", "b/d/f.py", "b-x/g.py"]


async def test_a_page_goes_on_after_its_last_entry_even_if_that_is_gone(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            first = await fs.ok("list_files", recursive=True, limit=5)
            (tmp_path / "b/c.py").unlink()
            write_tree(tmp_path, {"b/aa": "before the cursor", "b/cc": "after it"})
            rest = await fs.ok("list_files", recursive=True, cursor=first["next_cursor"])
    assert first["entries"][-1]["path"] == "b/c.py"
    assert [entry["path"] for entry in rest["entries"]] == ["b/cc", "b/d", "b/d/e.txt", "b/d/f.py", "b-x/g.py"]


async def test_a_cursor_of_another_request_or_of_nobody_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            cursor = (await fs.ok("list_files", recursive=True, limit=2))["next_cursor"]
            other = await fs.fails("list_files", recursive=True, glob="*.py", cursor=cursor)
            junk = [await fs.fails("list_files", cursor=text) for text in ("x", "é", "W10", "bnVsbA")]
    assert {error["code"] for error in (other, *junk)} == {"invalid_arguments"}


@pytest.mark.parametrize(
    ("glob", "path", "found"),
    [
        ("*.py", "", ["a.py", "b/c.py", "b/d/f.py", "b-x/g.py"]),
        ("/*.py", "", ["a.py"]),
        ("b/**/*.py", "", ["b/c.py", "b/d/f.py"]),
        ("*.{py,txt}", "b/d", ["b/d/e.txt", "b/d/f.py"]),
        (["*.py", "!b"], "", ["a.py", "b-x/g.py"]),
        (["!*.py"], "", ["b", "b-x", "z", "b/d", "b/d/e.txt"]),
        ("/d/*.py", "b", ["b/d/f.py"]),
        ("b/d/*.py", "b", ["b/d/f.py"]),
        ("*.PY", "", ["a.py", "b/c.py", "b/d/f.py", "b-x/g.py"]),
        ("none*", "", []),
    ],
)
async def test_globs_choose(tmp_path: Path, glob: Any, path: str, found: list[str]) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await pages(fs, path=path, recursive=True, glob=glob) == found


async def test_denied_files_are_not_shown_anywhere(tmp_path: Path) -> None:
    write_tree(tmp_path, {".env": "SECRET", "sub/.ENV": "SECRET", ".ssh/key": "SECRET", "ok": "x"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await pages(fs, recursive=True, include_ignored=True) == ["ok", "sub"]
            totals = (await fs.ok("list_files", totals=True))["totals"]
            error = await fs.fails("list_files", path=".ssh")
    assert totals["files"] == 1
    assert error["code"] == "policy_denied"


async def test_that_something_is_hidden_is_said_without_saying_what(tmp_path: Path) -> None:
    write_tree(tmp_path, {"src/id_mapping.py": "word", ".ssh/key": "word", "src/a.py": "word"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            listed = await fs.call("list_files", recursive=True)
            totals = await fs.ok("list_files", totals=True)
            found = await fs.call("search_files", regex="word")
            clean = await fs.call("list_files", path="src", glob="*.txt", include_ignored=True)
            read = await fs.fails("read_file", path="src/id_mapping.py")
        async with fs_client(tmp_path, settings={"policy": {"read_deny": ["id_rsa*"]}}) as fs:
            allowed = await fs.call("read_file", path="src/id_mapping.py")
    note = "[2 entries not shown: read_deny and read_allow in the server's settings hide them from every tool]"
    for answer in (listed, found):
        assert answer.structured_content is not None
        assert answer.structured_content["hidden"] == 2
        assert note in text_of(answer)
        assert "mapping" not in text_of(answer)
    assert (totals["hidden"], totals["totals"]["hidden"]) == (2, 2)
    assert "[1 entry not shown" in text_of(clean)
    assert read["code"] == "policy_denied"
    assert "read_deny pattern 'id_*'" in read["message"]
    assert text_of(allowed) == "word"


async def test_totals_count_files_bytes_and_lines_by_directory_and_extension(tmp_path: Path) -> None:
    write_tree(tmp_path, {**TREE, "logo.PNG": b"\x89PNG\0\n\n", "big.txt": "x\n" * 300_000})
    (tmp_path / "link").symlink_to("a.py")
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            totals = (await fs.ok("list_files", totals=True))["totals"]
    sums = {
        key: totals[key] for key in ("files", "lines", "directories", "binary_files", "skipped", "depth", "partial")
    }
    assert sums == {
        "files": 8,
        "lines": 300_008,
        "directories": 3,
        "binary_files": 1,
        "skipped": 1,
        "depth": None,
        "partial": None,
    }
    assert totals["bytes"] == 4 + 2 + 1 + 6 + 2 + 0 + 7 + 600_000
    assert [row["extension"] for row in totals["extensions"]] == [".txt", ".py", "", ".png"]
    assert {(row["directory"], row["extension"], row["files"], row["lines"]) for row in totals["rows"]} == {
        ("", ".txt", 1, 300_000),
        ("", ".py", 1, 2),
        ("", ".png", 1, 0),
        ("", "", 1, 0),
        ("b", ".py", 1, 1),
        ("b/d", ".txt", 1, 1),
        ("b/d", ".py", 1, 3),
        ("b-x", ".py", 1, 1),
    }
    detailed(schemas.TOTALS_ROW, totals["rows"] + totals["extensions"])


async def test_totals_roll_deep_directories_up_and_lose_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{n % 3}/e{n % 7}/f{n}.py": "1\n" for n in range(60)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"totals_max_rows": 10}}) as fs:
            totals = (await fs.ok("list_files", totals=True))["totals"]
        async with fs_client(tmp_path, settings={"fs": {"totals_max_rows": 1}}) as fs:
            least = (await fs.ok("list_files", totals=True))["totals"]
    assert totals["depth"] == 1
    assert [(row["directory"], row["files"]) for row in totals["rows"]] == [("d0", 20), ("d1", 20), ("d2", 20)]
    assert (least["depth"], len(least["rows"]), least["rows"][0]["lines"]) == (0, 1, 60)


async def test_a_walk_stops_at_its_limit_and_says_so(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{n}/f": "x\n" for n in range(50)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"walk_max_entries": 55}}) as fs:
            page = await fs.ok("list_files", recursive=True)
            totals = (await fs.ok("list_files", totals=True))["totals"]
    assert page["truncated"]
    assert "stopped after 55 directory entries" in page["partial"]
    assert "stopped after 55 directory entries" in totals["partial"]


async def test_names_that_no_tool_accepts_are_counted_not_shown(tmp_path: Path) -> None:
    write_tree(tmp_path, {"ok": "x"})
    (tmp_path / "line\nbreak").write_text("x")
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff", os.O_CREAT | os.O_WRONLY))
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            text = await fs.text("list_files")
    assert text == "ok (1 bytes)\n[2 names not shown: not UTF-8, or with control characters]"


async def test_very_deep_trees_end_at_a_depth_and_say_so(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            page = await fs.ok("list_files", recursive=True)
    assert len(page["entries"]) == 100
    assert "deeper than 100 levels" in page["partial"]


async def test_a_link_to_a_directory_is_listed_under_its_real_name(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    (tmp_path / "link").symlink_to("b/d")
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await pages(fs, path="link") == ["b/d/e.txt", "b/d/f.py"]


async def test_a_file_or_nothing_is_no_directory(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            errors = [await fs.fails("list_files", path=path) for path in ("a.py", "none")]
    assert [error["code"] for error in errors] == ["invalid_arguments", "not_found"]


async def test_the_top_of_two_roots_walks_both_in_pages(tmp_path: Path) -> None:
    write_tree(tmp_path, {"one/a": "1", "one/b": "2", "two/a": "3"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            assert await pages(fs, recursive=True, limit=1) == ["one/a", "one/b", "two/a"]
            totals = (await fs.ok("list_files", totals=True))["totals"]
    assert [row["directory"] for row in totals["rows"]] == ["one", "two"]


async def test_what_tools_made_is_left_out_unless_asked_for_or_named(tmp_path: Path) -> None:
    made = [
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "out/CACHEDIR.TAG",
        "out/y.o",
        "web/node_modules/z.js",
        "__pycache__/a.pyc",
    ]
    write_tree(tmp_path, {"a.py": "1\n", **dict.fromkeys(made, "x\n")})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await pages(fs, recursive=True) == ["a.py", "env", "out", "web"]
            assert (await fs.ok("list_files", totals=True))["totals"]["files"] == 1
            assert set(made) <= set(await pages(fs, recursive=True, include_ignored=True))
            assert await pages(fs, path="env", recursive=True) == ["env/lib", "env/pyvenv.cfg", "env/lib/x.py"]
            found = await fs.ok("search_files", regex="x", output="files")
    assert found["files"] == []
