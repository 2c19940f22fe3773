"""What `read_file` answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest

from tests.fs.helpers import fs_client, text_of, write_tree

pytestmark = pytest.mark.anyio


async def test_a_file_is_returned_whole_with_hash_size_and_line_count(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "one\ntwo\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.call("read_file", path="a.py")
    assert text_of(result) == "one\ntwo\n"
    assert result.structured_content == {
        "files": [
            {
                "path": "a.py",
                "text": "one\ntwo\n",
                "encoding": "utf-8",
                "sha256": hashlib.sha256(b"one\ntwo\n").hexdigest(),
                "size": 8,
                "total_lines": 2,
                "start_line": 1,
                "line_count": 2,
                "truncated": False,
                "next_start_line": None,
                "error": None,
            }
        ]
    }


@pytest.mark.parametrize(
    ("content", "total"),
    [("", 0), ("x", 1), ("x\n", 1), ("x\ny", 2), ("\n\n", 2), ("a\r\nb\r\n", 2)],
)
async def test_a_last_line_without_a_break_counts_as_a_line(tmp_path: Path, content: str, total: int) -> None:
    write_tree(tmp_path, {"f": content})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            file = (await fs.ok("read_file", path="f"))["files"][0]
    assert (file["total_lines"], file["line_count"], file["text"]) == (total, total, content)


async def test_a_long_file_is_cut_at_a_line_and_says_how_to_go_on(tmp_path: Path) -> None:
    lines = [f"line {n}\n" for n in range(1, 101)]
    write_tree(tmp_path, {"f": "".join(lines)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"read_max_bytes": 100}}) as fs:
            first = await fs.call("read_file", path="f")
            assert text_of(first).endswith("[cut: lines 1-13 of 100; read on with start_line=14]")
            collected, start = "", 1
            while start is not None:
                file = (await fs.ok("read_file", path="f", start_line=start))["files"][0]
                assert file["truncated"] is (file["next_start_line"] is not None)
                assert len(file["text"].encode()) <= 100
                collected += file["text"]
                start = file["next_start_line"]
    assert collected == "".join(lines)


async def test_an_asked_for_range_is_not_called_cut(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": "a\nb\nc\nd\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.call("read_file", path="f", start_line=2, line_count=2, line_numbers=True)
    assert text_of(result) == "     2\tb\n     3\tc\n[lines 2-3 of 4; read on with start_line=4]"
    assert result.structured_content is not None
    assert result.structured_content["files"][0]["truncated"] is False


async def test_a_line_longer_than_the_limit_is_cut_and_said_to_be(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": "é" * 500 + "\nend\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"read_max_bytes": 101}}) as fs:
            text = await fs.text("read_file", path="f")
            rest = (await fs.ok("read_file", path="f", start_line=2))["files"][0]
    assert text == "é" * 50 + "\n[cut: lines 1-1 of 2; line 1 itself is cut; read on with start_line=2]"
    assert rest["text"] == "end\n"


async def test_a_start_past_the_end_names_the_number_of_lines(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": "a\nb\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("read_file", path="f", start_line=9)
    assert error["code"] == "invalid_arguments"
    assert "2 lines" in error["message"]


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        ("ä€\n".encode(), "utf-8", "ä€\n"),
        (b"\xef\xbb\xbf" + "ä\n".encode(), "utf-8-bom", "ä\n"),
        (b"\xff\xfe" + "ä\r\n".encode("utf-16-le"), "utf-16-le", "ä\r\n"),
        (b"\xfe\xff" + "ä\n".encode("utf-16-be"), "utf-16-be", "ä\n"),
        (b"\xff\xfe\x00\x00" + "ä\n".encode("utf-32-le"), "utf-32-le", "ä\n"),
        (b"\xff\xfea\0\n\0b", "utf-16-le", "a\n\ufffd"),
        ("Größe\n".encode("latin-1"), "latin-1 (guessed)", "Größe\n"),
        ("Größe, caf".encode() + b"\xe9\n", "utf-8 (with invalid bytes)", "Größe, caf\ufffd[E9]\n"),
        (b"\xef\xbb\xbf" + "ä€\n".encode() + b"\xff", "utf-8 (with invalid bytes)", "ä€\n\ufffd[FF]"),
        ("ä€ä ".encode() + b"cut \xe2\x82", "utf-8 (with invalid bytes)", "ä€ä cut \ufffd[E2]\ufffd[82]"),
        (b"cut \xe2\x81", "latin-1 (guessed)", "cut \u00e2\x81"),
        (
            b"\x93Gr\xfc\xdfe\x94 f\xfcr 5 \x80\r\n",
            "windows-1252 (guessed)",
            "\u201cGr\u00fc\u00dfe\u201d f\u00fcr 5 \u20ac\r\n",
        ),
        (b"\xef\xbb\xbfna\xefve \x96\n", "windows-1252 (guessed)", "na\u00efve \u2013\n"),
        ("Gr\u00f6\u00dfe, 5 \u20ac\r\n".encode("utf-16-le"), "utf-16-le", "Gr\u00f6\u00dfe, 5 \u20ac\r\n"),
        ("Gr\u00f6\u00dfe, 5 \u20ac\n".encode("utf-16-be"), "utf-16-be", "Gr\u00f6\u00dfe, 5 \u20ac\n"),
    ],
)
async def test_the_encoding_is_recognised_and_named(tmp_path: Path, data: bytes, encoding: str, text: str) -> None:
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            file = (await fs.ok("read_file", path="f"))["files"][0]
            shown = await fs.text("read_file", path="f")
    assert (file["encoding"], file["text"], file["sha256"]) == (encoding, text, hashlib.sha256(data).hexdigest())
    for name in ("Latin-1", "Windows-1252"):
        said = f"[encoding guessed: not UTF-8, shown as {name}]" in shown
        assert said == (encoding == f"{name.lower()} (guessed)")


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(64)),
        b"a\0" * 3,
        b"a\0b\0\0\0c\0d\0",
        b"\x01\0\x02\0\x03\0\x04\0\x05\0",
        b"\0\0\0\1" * 20,
        b"a\0b\0c\0d\0e",
    ],
)
async def test_binary_data_is_not_taken_for_text_of_wide_characters(tmp_path: Path, data: bytes) -> None:
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert (await fs.fails("read_file", path="f"))["code"] == "invalid_arguments"


@pytest.mark.parametrize("lines", [1, 200_000])
async def test_lines_that_end_with_a_carriage_return_alone_are_lines(tmp_path: Path, lines: int) -> None:
    data = b"".join(b"line %d\r" % number for number in range(lines)) + b"last"
    write_tree(tmp_path, {"f": data, "g": b"a\r" * 1_000_000 + b"b\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            file = (await fs.ok("read_file", path="f", start_line=lines, line_count=2, line_numbers=True))["files"][0]
            shown = await fs.text("read_file", path="f", start_line=lines)
            mixed = (await fs.ok("read_file", path="g", line_count=1))["files"][0]
            totals = (await fs.ok("list_files", totals=True))["totals"]
            found = (await fs.ok("search_files", regex="^last$"))["files"]
    assert file["total_lines"] == lines + 1
    assert file["text"] == f"{lines:>6}\tline {lines - 1}\r{lines + 1:>6}\tlast"
    assert shown.endswith("\n[lines end with a carriage return alone]")
    assert mixed["total_lines"] == 1
    assert totals["lines"] == lines + 2
    assert [(hits["path"], hits["matches"][0]["line"]) for hits in found] == [("f", lines + 1)]


async def test_totals_and_searches_see_the_lines_that_are_shown(tmp_path: Path) -> None:
    text = "one \u2013 1\ntwo \u201cx\u201d\n"
    encodings = ("utf-8", "windows-1252", "utf-16", "utf-16-le", "utf-16-be")
    write_tree(tmp_path, {name: text.encode(name) for name in encodings})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            totals = (await fs.ok("list_files", totals=True))["totals"]
            found = (await fs.ok("search_files", regex="two \u201cx\u201d$"))["files"]
    assert totals["lines"] == 2 * len(encodings)
    assert [hits["path"] for hits in found] == sorted(encodings)
    assert {(hits["matches"][0]["line"], hits["matches"][0]["text"]) for hits in found} == {(2, "two \u201cx\u201d")}


async def test_characters_split_between_chunks_are_still_utf8(tmp_path: Path) -> None:
    data = b"x" * ((1 << 20) - 1) + "€\n".encode() + b"y\n"
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            file = (await fs.ok("read_file", path="f", start_line=2))["files"][0]
    assert (file["encoding"], file["text"], file["total_lines"]) == ("utf-8", "y\n", 2)


async def test_a_binary_file_is_refused_with_its_kind_and_size(tmp_path: Path) -> None:
    write_tree(tmp_path, {"logo.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(50)})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("read_file", path="logo.png")
    assert error["code"] == "invalid_arguments"
    assert "PNG image, 66 bytes" in error["message"]


async def test_several_files_each_succeed_or_fail_for_themselves(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "A\n", "b.png": b"\x89PNG\0", "c": "C\n", ".env": "SECRET=1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            files = (await fs.ok("read_file", paths=["a", "b.png", "none", ".env", "c"]))["files"]
    assert [file.get("text") for file in files] == ["A\n", None, None, None, "C\n"]
    assert [file["error"] and file["error"]["code"] for file in files] == [
        None,
        "invalid_arguments",
        "not_found",
        "policy_denied",
        None,
    ]


async def test_several_files_share_one_limit_and_say_where_to_go_on(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": "1234567\n" * 10, "b": "1234567\n" * 10})
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"read_max_bytes": 100}}) as fs:
            files = (await fs.ok("read_file", paths=["a", "b"]))["files"]
    assert (files[0]["truncated"], files[1]["truncated"], files[1]["next_start_line"]) == (False, True, 3)


@pytest.mark.parametrize("arguments", [{}, {"path": "a", "paths": ["a"]}, {"path": 3}, {"path": "a", "x": 1}])
async def test_wrong_arguments_are_explained(tmp_path: Path, arguments: dict[str, object]) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("read_file", **arguments)
    assert error["code"] == "invalid_arguments"


async def test_a_symlink_inside_is_followed_and_rules_hold_for_its_target(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real/a.txt": "A\n", ".env": "SECRET=1\n"})
    (tmp_path / "link.txt").symlink_to("real/a.txt")
    (tmp_path / "innocent.txt").symlink_to(".env")
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            file = (await fs.ok("read_file", path="link.txt"))["files"][0]
            error = await fs.fails("read_file", path="innocent.txt")
    assert (file["path"], file["text"]) == ("real/a.txt", "A\n")
    assert error["code"] == "policy_denied"


async def test_two_roots_are_told_apart_by_their_names(tmp_path: Path) -> None:
    write_tree(tmp_path, {"one/a": "1\n", "two/a": "2\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            files = (await fs.ok("read_file", paths=["one/a", "two/a", "a"]))["files"]
            entries = (await fs.ok("list_files"))["entries"]
    assert [file.get("text") for file in files] == ["1\n", "2\n", None]
    assert [file["path"] for file in files[:2]] == ["one/a", "two/a"]
    assert [entry["path"] for entry in entries] == ["one", "two"]


async def test_bytes_that_are_not_utf8_are_counted_and_their_first_line_is_named(tmp_path: Path) -> None:
    large = b"x" * 99 + b"\n"
    data = "größer\n".encode() * 4 + large * 30_000 + b"caf\xe9\nlast \xe9\n"
    write_tree(tmp_path, {"f": data, "one": "größer\n".encode() + b"\xe9\n", "mac": "größer\r".encode() + b"\xe9\r"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            many = await fs.text("read_file", path="f", start_line=30_005)
            one = await fs.text("read_file", path="one")
            mac = await fs.text("read_file", path="mac")
            found = await fs.ok("search_files", regex="caf.\\[E9\\]|größ")
    assert "caf\ufffd[E9]\nlast \ufffd[E9]\n" in many
    assert "2 bytes are not UTF-8, the first in line 30005; each is shown as \ufffd[hex]" in many
    assert "1 byte is not UTF-8, in line 2; each is shown as \ufffd[hex]" in one
    assert "1 byte is not UTF-8; each is shown as" in mac
    lines = {(file["path"], match["line"]) for file in found["files"] for match in file["matches"]}
    assert ("f", 30_005) in lines, "search sees what read_file shows"
