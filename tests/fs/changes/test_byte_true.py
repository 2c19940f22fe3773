"""A patch made of what `read_file` shows changes the lines that it names, and no other byte, in any encoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.fs.helpers import FsClient, fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

SMART = "say \u201cfive\u201d \u2013 5 \u20ac"
ENCODINGS = {
    "utf-8": ("", "utf-8", SMART),
    "utf-8 with a mark": ("\ufeff", "utf-8", SMART),
    "utf-16-le with a mark": ("\ufeff", "utf-16-le", SMART),
    "utf-16-be with a mark": ("\ufeff", "utf-16-be", SMART),
    "utf-16-le without a mark": ("", "utf-16-le", SMART),
    "utf-16-be without a mark": ("", "utf-16-be", SMART),
    "utf-32-le with a mark": ("\ufeff", "utf-32-le", SMART),
    "windows-1252": ("", "windows-1252", SMART),
    "latin-1": ("", "latin-1", "gr\u00fc\u00dfe"),
}
BREAKS = {
    "line feeds": ("\n", "\n", "\n", "\n"),
    "Windows": ("\r\n", "\r\n", "\r\n", "\r\n"),
    "old Mac": ("\r", "\r", "\r", "\r"),
    "old Mac, no final one": ("\r", "\r", "\r", ""),
    "mixed, mostly line feeds": ("\n", "\r\n", "\n", "\n"),
    "mixed, mostly Windows": ("\r\n", "\n", "\r\n", "\r\n"),
    "no final one": ("\n", "\n", "\n", ""),
    "Windows, no final one": ("\r\n", "\r\n", "\r\n", ""),
}


def in_envelope(above: str, old: str, new: str) -> str:
    return f"*** Begin Patch\n*** Update File: f\n@@\n {above}\n-{old}\n+{new}\n*** End Patch\n"


def in_diff(above: str, old: str, new: str) -> str:
    return f"--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n {above}\n-{old}\n+{new}\n"


def in_block(above: str, old: str, new: str) -> str:
    return f"f\n<<<<<<< SEARCH\n{above}\n{old}\n=======\n{above}\n{new}\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize("write", [in_envelope, in_diff, in_block])
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_only_the_bytes_of_the_changed_line_change(
    tmp_path: Path, encoding: str, write: Callable[[str, str, str], str]
) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path, settings={"fs": {"durable": False}}) as fs:
            for ends in BREAKS.values():
                await change_two_lines(fs, tmp_path, ENCODINGS[encoding], ends, write)


async def change_two_lines(
    fs: FsClient,
    root: Path,
    encoding: tuple[str, str, str],
    ends: tuple[str, ...],
    write: Callable[[str, str, str], str],
) -> None:
    mark, codec, text = encoding
    lines = [text, f"{text} two", "three", text]

    def whole(second: str, third: str) -> bytes:
        words = [lines[0], second, third, lines[3]]
        return (mark + "".join(word + end for word, end in zip(words, ends, strict=True))).encode(codec)

    before = whole(lines[1], lines[2])
    write_tree(root, {"f": before})
    shown = (await fs.ok("read_file", path="f"))["files"][0]["text"].splitlines()
    assert shown == lines
    first = await fs.ok("apply_patch", patch=write(shown[0], shown[1], f"{shown[1]}!"))
    assert read_tree(root)["f"] == whole(f"{lines[1]}!", lines[2])
    second = await fs.ok("apply_patch", patch=write(f"{shown[1]}!", shown[2], f"{text} 3"))
    assert read_tree(root)["f"] == whole(f"{lines[1]}!", f"{text} 3")
    await fs.ok("revert_patch", change_id=second["change_id"])
    await fs.ok("revert_patch", change_id=first["change_id"])
    assert first["files"][0]["match"] == "exact"
    assert (first["added"], first["removed"]) == (1, 1)
    assert read_tree(root)["f"] == before


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_new_lines_end_as_the_lines_beside_them(tmp_path: Path, encoding: str) -> None:
    mark, codec, text = ENCODINGS[encoding]
    write_tree(tmp_path, {"f": f"{mark}{text}\r\nb\r\nc\nd".encode(codec)})
    patch = f"*** Begin Patch\n*** Update File: f\n@@\n {text}\n+x\n b\n-c\n+y\n+z\n d\n+e\n*** End Patch\n"
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            await fs.ok("apply_patch", patch=patch)
    assert read_tree(tmp_path)["f"] == f"{mark}{text}\r\nx\r\nb\r\ny\nz\nd\r\ne".encode(codec)


async def test_whole_new_text_keeps_the_encoding_and_the_line_breaks(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mac": b"\x93a\x94\rb\r", "wide": "\u201ca\u201d b c d\r\ne\r\n".encode("utf-16-le")})
    changes = [{"op": "update", "path": name, "content": "\u201cx\u201d y z\nand more\n"} for name in ("mac", "wide")]
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            await fs.ok("apply_patch", changes=changes)
    assert read_tree(tmp_path) == {
        "mac": b"\x93x\x94 y z\rand more\r",
        "wide": "\u201cx\u201d y z\r\nand more\r\n".encode("utf-16-le"),
    }


@pytest.mark.parametrize(
    ("data", "new", "words"),
    [
        (b"gr\xfc\xdfe\nb\n", "5 \u20ac", "latin-1 (guessed) cannot hold"),
        (b"\x93gr\xfc\xdfe\x94\nb\n", "\u4e2d", "windows-1252 (guessed) cannot hold"),
        ("a\nb\nc\n".encode("utf-16"), "\ud800", "utf-16-le cannot hold"),
        (b"\xff\xfea\0\n\0b\0\n\0x", "c", "not valid in it to its end"),
        ("some text\nb\n".encode("utf-16-le"), "\u4e2d" * 50, "would no longer be read as utf-16-le"),
    ],
)
async def test_what_the_encoding_of_the_file_cannot_hold_is_refused(
    tmp_path: Path, data: bytes, new: str, words: str
) -> None:
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", patch=f"f\n<<<<<<< SEARCH\nb\n=======\n{new}\n>>>>>>> REPLACE\n")
    assert error["code"] == "invalid_arguments"
    assert words in error["message"]
    assert read_tree(tmp_path) == {"f": data}


async def test_the_diff_of_a_file_that_becomes_utf8_shows_only_what_changes(tmp_path: Path) -> None:
    data = "gr\u00fc\u00dfe\n".encode() * 3 + b"bad \xff\n"
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok(
                "apply_patch", patch="f\n<<<<<<< SEARCH\nbad \ufffd[FF]\n=======\ngood\n>>>>>>> REPLACE\n"
            )
            back = await fs.ok("revert_patch", change_id=result["change_id"])
    assert (result["added"], result["removed"]) == (1, 1)
    assert (back["added"], back["removed"]) == (1, 1)
    assert read_tree(tmp_path) == {"f": data}


DAMAGED = (
    "gr\u00fc\u00dfe, caf\u00e9\n".encode() * 3
    + b"na\xefve \\xef \x80\x93\r\nb\n"
    + "\u20ac\n".encode()
    + b"end \xe2\x82"
)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_a_patch_of_utf8_with_some_invalid_bytes_changes_no_other_byte(tmp_path: Path, mark: bytes) -> None:
    write_tree(tmp_path, {"f": mark + DAMAGED})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            text = (await fs.ok("read_file", path="f"))["files"][0]["text"]
            line = "na\ufffd[EF]ve \\xef \ufffd[80]\ufffd[93]"
            assert text.splitlines()[3:] == [line, "b", "\u20ac", "end \ufffd[E2]\ufffd[82]"]
            beside = await fs.ok(
                "apply_patch", patch=f"f\n<<<<<<< SEARCH\n{line}\nb\n=======\n{line}\nc\n>>>>>>> REPLACE\n"
            )
            assert read_tree(tmp_path)["f"] == mark + DAMAGED.replace(b"\nb\n", b"\nc\n")
            new = line.replace("na", "ma") + " \u4e2d"
            envelope = f"*** Begin Patch\n*** Update File: f\n@@\n-{line}\n+{new}\n*** End Patch\n"
            inside = await fs.ok("apply_patch", patch=envelope)
            changed = DAMAGED.replace(b"na\xef", b"ma\xef").replace(b"\x80\x93", b"\x80\x93 \xe4\xb8\xad")
            assert read_tree(tmp_path)["f"] == mark + changed.replace(b"\nb\n", b"\nc\n")
            for change in (inside, beside):
                await fs.ok("revert_patch", change_id=change["change_id"])
    assert read_tree(tmp_path) == {"f": mark + DAMAGED}


@pytest.mark.parametrize(
    "data",
    [
        "gr\u00fc\u00dfe, \ufffd[E9]\n".encode() + b"\xe9\nb\n",  # the text has what would be shown for a byte
        "gr\u00fc\n".encode() + b"gr\xfc\xdfe\nb\n",  # as many bytes that are not UTF-8
        b"gr\xfc\xdfe\nb\n",
    ],
)
async def test_a_file_that_cannot_be_told_for_utf8_is_still_patched_byte_by_byte(tmp_path: Path, data: bytes) -> None:
    write_tree(tmp_path, {"f": data})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert (await fs.ok("read_file", path="f"))["files"][0]["encoding"].endswith("(guessed)")
            await fs.ok("apply_patch", patch="f\n<<<<<<< SEARCH\nb\n=======\nc\n>>>>>>> REPLACE\n")
    assert read_tree(tmp_path) == {"f": data.replace(b"\nb\n", b"\nc\n")}


@pytest.mark.parametrize(
    "header", ["+++ new.txt\n", "+++ b/new.txt\n", "--- a/new.txt\n+++ b/new.txt\n", "--- new.txt\n+++ new.txt\n"]
)
async def test_a_diff_against_nothing_makes_the_file_whatever_its_header(tmp_path: Path, header: str) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            result = await fs.ok("apply_patch", patch=f"{header}@@ -0,0 +1,2 @@\n+a\n+b\n")
            again = await fs.fails("apply_patch", patch=f"{header}@@ -0,0 +1,2 @@\n+a\n+b\n")
    assert [(file["op"], file["path"]) for file in result["files"]] == [("add", "new.txt")]
    assert again["code"] in ("conflict", "invalid_arguments")
    assert read_tree(tmp_path) == {"new.txt": b"a\nb\n"}


async def test_a_single_name_whose_prefix_may_be_a_directory_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {"b/f": "two\n", "f": "two\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", patch="+++ b/f\n@@ -1 +1 @@\n-two\n+2\n")
    assert "may mean 'f' or 'b/f'" in error["message"]
    assert read_tree(tmp_path) == {"b/f": b"two\n", "f": b"two\n"}


async def test_new_lines_without_a_place_do_not_make_a_file_that_may_be_misspelled(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails(
                "apply_patch", patch="*** Begin Patch\n*** Update File: new.txt\n@@\n+a\n*** End Patch\n"
            )
    assert error["code"] == "not_found"
    assert "*** Add File" in error["hint"]
