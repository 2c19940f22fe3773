"""What `search_files` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lg_fs.search.matches import Excerpts
from lg_fs.search.regex import compile_regex
from lg_fs.search.search import Search
from lg_fs.server import schemas
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.errors import InvalidArguments
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace
from tests.fs.helpers import FsClient, detailed, fs_client, search_request, text_of, write_tree

pytestmark = pytest.mark.anyio

TREE = {
    "a.py": "import os\nimport sys\n\ndef main():\n    return os\n",
    "b/c.py": "import os\nx = 1  # import os\n",
    "b/d.txt": "no such line\n",
    "e.txt": "Import OS\r\nlast import",
}


async def search_all(fs: FsClient, **arguments: Any) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await fs.ok("search_files", **arguments, **cursor)
        found += [(file["path"], match["line"]) for file in page["files"] for match in file["matches"]]
        if page["next_cursor"] is None:
            return found
        assert page["truncated"]
        cursor = {"cursor": page["next_cursor"]}


async def test_matches_come_by_file_with_line_column_text_and_context(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok("search_files", regex=r"return (\w+)", context_lines=1)
    assert result["files"] == [
        {
            "path": "a.py",
            "count": 1,
            "matches": [
                {"line": 5, "column": 5, "text": "    return os", "before": ["def main():"], "after": []},
            ],
        }
    ]
    assert (result["total_matches"], result["files_matched"], result["files_searched"]) == (1, 1, 4)
    detailed(schemas.SEARCH_FILE, result["files"])
    detailed(schemas.SEARCH_MATCH, result["files"][0]["matches"])


async def test_lines_between_near_matches_stand_once_and_a_rule_marks_lines_left_out(tmp_path: Path) -> None:
    numbered = [f"{'hit' if number in (2, 4, 5, 12) else 'row'} {number}" for number in range(1, 16)]
    write_tree(tmp_path, {"near.txt": "\n".join(numbered)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            answer = await fs.call("search_files", regex="^hit", context_lines=2)
            plain = text_of(await fs.call("search_files", regex="^hit"))
    lines = text_of(answer).splitlines()[1:-1]
    shown = [line.strip() for line in lines]
    assert shown == [
        "1- row 1", "2: hit 2", "3- row 3", "4: hit 4", "5: hit 5", "6- row 6", "7- row 7",
        "--", "10- row 10", "11- row 11", "12: hit 12", "13- row 13", "14- row 14",
    ]  # fmt: skip
    assert "--" not in plain, "nothing is left out of what has no context"
    assert answer.structured_content is not None
    matches = answer.structured_content["files"][0]["matches"]
    told = [text for match in matches for text in (*match["before"], match["text"], *match["after"])]
    assert told == [line.partition(" ")[2] for line in shown if line != "--"]


@given(
    lines=st.lists(st.sampled_from(["hit", "row", ""]), max_size=30), context=st.integers(0, 4), seen=st.integers(0, 3)
)
@settings(max_examples=60, deadline=None)
def test_any_context_is_told_once_and_in_order(lines: list[str], context: int, seen: int) -> None:
    text = "\n".join(lines).encode()
    excerpts = Excerpts(compile_regex("hit", case_sensitive=True, multiline=False), context=context, multiline=False)
    found, _size, _more = excerpts.read("a", text, seen, 100, 1 << 20, Job(60.0))
    told: list[int] = []
    for match in found.matches:
        first = match["line"] - len(match["before"])
        told += range(first, match["line"] + len(match["after"]) + 1)
        assert [*match["before"], match["text"], *match["after"]] == lines[
            first - 1 : match["line"] + len(match["after"])
        ]
    hits = [number for number, line in enumerate(lines, start=1) if line == "hit"][seen:]
    # An empty last line is no line of a file.
    near = {line for hit in hits for line in range(hit - context, hit + context + 1)}
    end = len(text.decode().splitlines()) if text else 0
    assert told == [number for number in range(1, end + 1) if number in near]


async def test_anchors_hold_at_each_line_and_one_line_is_one_match(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await search_all(fs, regex="^import") == [("a.py", 1), ("a.py", 2), ("b/c.py", 1)]
            assert await search_all(fs, regex="os$") == [("a.py", 1), ("a.py", 5), ("b/c.py", 1), ("b/c.py", 2)]
            assert await search_all(fs, regex="import|os", glob="c.py") == [("b/c.py", 1), ("b/c.py", 2)]
            assert await search_all(fs, regex="import os", case_sensitive=False, glob="e.txt") == [("e.txt", 1)]


async def test_a_match_never_spans_lines_unless_asked_to(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await search_all(fs, regex=r"os\s+import") == []
            found = await fs.ok("search_files", regex=r"os\s+import", multiline=True)
            lines = await search_all(fs, regex=r"[^x]+", glob="d.txt")
    assert found["files"][0]["matches"][0]["text"] == "import os\nimport sys"
    assert lines == [("b/d.txt", 1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_any_size_make_the_same_whole(tmp_path: Path, limit: int) -> None:
    write_tree(tmp_path, TREE)
    expected = [("a.py", 1), ("a.py", 2), ("e.txt", 1), ("e.txt", 2), ("b/c.py", 1), ("b/c.py", 2)]
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await search_all(fs, regex="(?i)import", limit=limit) == expected


async def test_counts_files_and_values_summarise(tmp_path: Path) -> None:
    write_tree(tmp_path, TREE)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            counts = await fs.ok("search_files", regex="import", output="counts")
            files = await fs.ok("search_files", regex="import", output="files", limit=2)
            rest = await fs.ok("search_files", regex="import", output="files", cursor=files["next_cursor"])
            values = await fs.ok("search_files", regex=r"import (\w+)", output="values")
            top = await fs.ok("search_files", regex=r"\w+", output="values", limit=1)
    assert [(file["path"], file["count"]) for file in counts["files"]] == [("a.py", 2), ("e.txt", 1), ("b/c.py", 2)]
    assert counts["total_matches"] == 5
    assert [file["path"] for file in files["files"] + rest["files"]] == ["a.py", "e.txt", "b/c.py"]
    assert values["values"] == [
        {"value": "os", "count": 3, "files": 2, "path": "a.py", "line": 1},
        {"value": "sys", "count": 1, "files": 1, "path": "a.py", "line": 2},
    ]
    assert (top["values"][0]["value"], top["truncated"]) == ("import", True)
    detailed(schemas.SEARCH_VALUE, values["values"])


async def test_what_cannot_be_searched_is_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.bin": b"import\0", "big.txt": "import\n" * 300_000, "u.txt": "import", "x": "import"})
    (tmp_path / "link").symlink_to("x")
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"search_max_file_bytes": 1_000_000}}) as fs:
            result = await fs.ok("search_files", regex="import")
    assert result["skipped"] == {"binary": 1, "too_large": 1, "unreadable": 0}
    assert [file["path"] for file in result["files"]] == ["u.txt", "x"]


async def test_utf16_and_non_ascii_text_is_found_with_columns_in_characters(tmp_path: Path) -> None:
    write_tree(tmp_path, {"w.txt": b"\xff\xfe" + "äö import\n".encode("utf-16-le"), "u.txt": "äö import\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok("search_files", regex="import")
    assert [file["matches"][0]["column"] for file in result["files"]] == [4, 4]
    assert {file["matches"][0]["text"] for file in result["files"]} == {"äö import"}


async def test_a_very_long_line_is_shortened_around_the_match(tmp_path: Path) -> None:
    write_tree(tmp_path, {"min.js": "x" * 100_000 + "NEEDLE" + "y" * 100_000})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            match = (await fs.ok("search_files", regex="NEEDLE"))["files"][0]["matches"][0]
    assert "NEEDLE" in match["text"]
    assert len(match["text"]) < 600
    assert match["column"] == 100_001


async def test_the_answer_is_bounded_in_bytes_and_goes_on(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"f{n}": "word " * 20 + "\n" for n in range(50)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"search_max_reply_bytes": 1_000}}) as fs:
            page = await fs.ok("search_files", regex="word")
            found = await search_all(fs, regex="word")
    assert page["truncated"]
    assert len(page["files"]) < 12
    assert sorted(found) == sorted((f"f{n}", 1) for n in range(50))


@pytest.mark.parametrize("output", ["matches", "files", "counts"])
async def test_a_search_that_reached_the_limit_of_the_walk_says_so_and_goes_on(tmp_path: Path, output: str) -> None:
    names = [f"d{folder}/f{number}" for folder in range(6) for number in range(5)]
    write_tree(tmp_path, dict.fromkeys(names, "word\n"))
    found: list[str] = []
    cursor: dict[str, str] = {}
    partial: list[str] = []
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"walk_max_entries": 15}}) as fs:
            while True:
                page = await fs.ok("search_files", regex="word", output=output, **cursor)
                found += [file["path"] for file in page["files"]]
                if page["next_cursor"] is None:
                    break
                partial.append(page["partial"])
                cursor = {"cursor": page["next_cursor"]}
    assert found == names
    assert set(partial) == {"stopped after 15 directory entries"}


async def test_a_search_that_ran_out_of_time_answers_with_what_it_has(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{n}/f": "word\n" for n in range(5)} | {"f": "word\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"call_timeout_s": 0.000_001}}) as fs:
            found = await fs.call("search_files", regex="word")
            listed = await fs.ok("list_files", recursive=True)
            totals = await fs.ok("list_files", totals=True)
    assert not found.is_error
    assert "[incomplete: stopped after 1e-06 s" in text_of(found)
    assert found.structured_content is not None
    assert [file["path"] for file in found.structured_content["files"]] == ["f"]
    assert found.structured_content["next_cursor"] is not None
    for answer in (listed, totals):
        assert answer["partial"].startswith("stopped after 1e-06 s")
        assert answer["truncated"]


async def test_a_path_may_name_one_file_even_an_ignored_one(tmp_path: Path) -> None:
    write_tree(tmp_path, {".gitignore": "*.log\n", "a.log": "word\nword\n", ".env": "word"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await search_all(fs, regex="word", path="a.log", limit=1) == [("a.log", 1), ("a.log", 2)]
            assert await search_all(fs, regex="word") == []
            error = await fs.fails("search_files", regex="word", path=".env")
    assert error["code"] == "policy_denied"


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("(?=x)", "look-around"),
        ("(?<!x)y", "look-around"),
        (r"(a)\1", "back-references"),
        ("(?P<n>a)(?P=n)", "back-references"),
        ("(?>a)", "atomic"),
        ("a++", "possessive"),
        ("(", "missing"),
        ("[z-a]", "range"),
        ("a{1001}", "repetition"),
        ("((a{1,100}){1,100}){1,100}", "repetition"),
        ("\ud800", "surrogate"),
        ("x" * 5_000, "4000 characters"),
    ],
)
def test_what_the_engine_cannot_do_is_refused_with_the_reason(regex: str, words: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        compile_regex(regex, case_sensitive=True, multiline=False)
    assert words in caught.value.message


_LINES = st.lists(st.text(alphabet="ab \t", max_size=6), max_size=8)


@settings(max_examples=150, deadline=None)
@given(lines=_LINES, regex=st.sampled_from(["a", "^a", "b$", "a+b*", "^$", "^", "$", "a|b", r"\bab?\b", "x*"]))
def test_matching_lines_are_those_that_python_finds_line_by_line(lines: list[str], regex: str) -> None:
    import re

    text = "".join(f"{line}\n" for line in lines).encode()
    compiled = compile_regex(regex, case_sensitive=True, multiline=False)
    hits, _, more = Excerpts(compiled, context=0, multiline=False).read("f", text, 0, 1_000, 1_000_000, Job())
    assert not more
    expected = [(n, line) for n, line in enumerate(lines, 1) if re.search(regex, line)]
    assert [(match["line"], match["text"]) for match in hits.matches] == expected


_FILES = st.lists(st.text(alphabet="ab \n", max_size=8).map(str.encode) | st.just(b"a\0a"), max_size=5)
_SPEAKING_OF_ENDS = [
    r"\Aa",
    r"b\z",
    r"(?-m:^a)",
    r"(?-m)b$",
    "^a",
    "b$",
    "^$",
    r"\bab\b",
    r"\Bb",
    "b\na",
    r"a\s+b",
    "ba*",
]


@settings(max_examples=120, deadline=None)
@given(files=_FILES, regex=st.sampled_from(_SPEAKING_OF_ENDS), multiline=st.booleans())
def test_files_searched_together_give_what_each_gives_alone(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes], regex: str, multiline: bool
) -> None:
    base = tmp_path_factory.mktemp("together")
    write_tree(base, {f"f{n}": data for n, data in enumerate(files)})
    request = search_request(regex, output="counts", multiline=multiline)
    with Root(base) as root:
        workspace = Workspace([root], FileRules.from_settings(PolicySettings()), FsSettings())
        result = Search(workspace, request, Job()).run()
    alone = Excerpts(request.regex, context=0, multiline=multiline)
    counts = [(f"f{n}", alone.count(data, Job())) for n, data in enumerate(files) if b"\0" not in data]
    assert [(found.path, found.count) for found in result.files] == [item for item in counts if item[1]]
    assert (result.files_searched, result.binary) == (len(counts), len(files) - len(counts))
