"""A glob in another spelling finds what it means; it never answers that there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fs.helpers import fs_client, write_tree

pytestmark = pytest.mark.anyio

FILES = {"src/a.txt": "", "src/b.py": "", "src/deep/c.txt": "", "d.md": "", "one,two.txt": "", "e f.txt": ""}


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.txt,*.py", {"src/a.txt", "src/b.py", "src/deep/c.txt", "one,two.txt", "e f.txt"}),
        ("*.py, *.md", {"src/b.py", "d.md"}),
        ("*.py *.md", {"src/b.py", "d.md"}),
        ('"*.py"', {"src/b.py"}),
        ("'src/*.txt'", {"src/a.txt"}),
        ("`*.md`", {"d.md"}),
        ("{ROOT}/src/*.txt", {"src/a.txt"}),
        ("{ROOT}/**/*.md", {"d.md"}),
        ("src\\*.txt", {"src/a.txt"}),
        ("src\\**\\*.txt", {"src/a.txt", "src/deep/c.txt"}),
        ("one,two.txt", {"one,two.txt"}),
        ("e f.txt", {"e f.txt"}),
        (["*.py", "{ROOT}/d.md"], {"src/b.py", "d.md"}),
        (["!{ROOT}/src/**", "*.txt"], {"one,two.txt", "e f.txt"}),
    ],
)
async def test_globs_as_models_and_windows_write_them(tmp_path: Path, glob: str | list[str], found: set[str]) -> None:
    root = tmp_path / "root"
    write_tree(root, FILES)
    pattern = [text.replace("{ROOT}", str(root)) for text in ([glob] if isinstance(glob, str) else glob)]
    async with fs_client(root) as client:
        sent = pattern[0] if isinstance(glob, str) else pattern
        page = await client.ok("list_files", recursive=True, glob=sent)
        assert {entry["path"] for entry in page["entries"] if entry["type"] == "file"} == found
        searched = await client.ok("search_files", regex="^", glob=sent, output="files")
        assert searched["files_searched"] == len(found)


async def test_a_pattern_in_place_of_a_path_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path / "root", FILES)
    async with fs_client(tmp_path / "root") as client:
        error = await client.fails("list_files", path="src/*.txt")
        assert "the pattern as glob" in error["hint"]
