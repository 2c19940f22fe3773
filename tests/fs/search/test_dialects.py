"""Expressions and files of other systems: the answer is never a wrong "no match"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fs.helpers import fs_client, write_tree

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("regex", "more", "lines"),
    [
        ("two$", {}, [2]),
        ("^two$", {}, [2]),
        (r"two\s*$", {}, [2]),
        ("^$", {}, [3]),
        ("one\\ntwo", {"multiline": True}, [1]),
        (r"one\r\ntwo", {"multiline": True}, [1]),
        (r"two\r$", {}, [2]),
        (r"[ \t]+$", {}, [4]),
    ],
)
@pytest.mark.parametrize("size", [1, 5_000])
async def test_the_line_breaks_of_windows_end_lines(
    tmp_path: Path, regex: str, more: dict[str, Any], lines: list[int], size: int
) -> None:
    text = "one\r\ntwo\r\n\r\nblank \r\n" + "last line\r\n" * size
    write_tree(tmp_path / "root", {"f.txt": text, "g.txt": "nothing\n"})
    async with fs_client(tmp_path / "root") as client:
        found = await client.ok("search_files", regex=regex, **more)
        (file,) = found["files"]
        assert file["path"] == "f.txt"
        assert [match["line"] for match in file["matches"]] == lines


async def test_wide_characters_that_hold_the_bytes_of_a_line_break_stay_whole(tmp_path: Path) -> None:
    text = "\u0d0a\u0a0d\u0a0d\u0d0a abc\r\nend\r\n"
    write_tree(tmp_path / "root", {"le.txt": b"\xff\xfe" + text.encode("utf-16-le"), "be.txt": text.encode("utf-16")})
    async with fs_client(tmp_path / "root") as client:
        found = await client.ok("search_files", regex="\u0a0d abc$|^\u0d0a\u0a0d\u0a0d\u0d0a abc$")
        assert found["files_matched"] == 2


@pytest.mark.parametrize("text", ["Caf\u00e9", "Cafe\u0301"])
@pytest.mark.parametrize("regex", ["Caf\u00e9", "Cafe\u0301", "^Caf\u00e9$"])
async def test_letters_are_found_composed_and_decomposed(tmp_path: Path, text: str, regex: str) -> None:
    write_tree(tmp_path / "root", {"f.txt": f"{text}\n"})
    async with fs_client(tmp_path / "root") as client:
        assert (await client.ok("search_files", regex=regex))["total_matches"] == 1


@pytest.mark.parametrize(("regex", "word"), [(r"\<two\>", r"\b"), ("/two/i", "(?i)"), (r"/a\/b/", "(?i)")])
async def test_what_another_dialect_means_is_named_where_nothing_matches(tmp_path: Path, regex: str, word: str) -> None:
    write_tree(tmp_path / "root", {"f.txt": "two\na/b\n"})
    async with fs_client(tmp_path / "root") as client:
        assert word in await client.text("search_files", regex=regex)


async def test_an_error_shows_the_expression_as_it_was_sent(tmp_path: Path) -> None:
    write_tree(tmp_path / "root", {"f.txt": "x\n"})
    async with fs_client(tmp_path / "root") as client:
        error = await client.fails("search_files", regex="f(")
        assert "(?m)" not in error["message"]
