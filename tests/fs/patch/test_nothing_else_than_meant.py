"""A patch of which a part would be passed over, or read as something else, is refused as a whole or read in full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from lg_fs.patch.dialects.file_names import readings
from lg_fs.patch.model import KEEP, FileChange, Line
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import InvalidArguments
from tests.fs.helpers import FsClient, fs_client

BLOCK = "a.md\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n"
DIFF = "--- a/q\n+++ b/q\n@@ -1 +1 @@\n-q\n+r\n"


@pytest.fixture
async def fs(tmp_path: Path) -> AsyncIterator[FsClient]:
    (tmp_path / "root").mkdir()
    with anyio.fail_after(120):
        async with fs_client(tmp_path / "root", settings={"fs": {"durable": False}}) as client:
            yield client


def only(patch: str) -> FileChange:
    (change,) = parse_patch(patch)
    return change


@pytest.mark.parametrize("word", ["delete", "remove", "update", "add", "new", "Delete File"])
def test_a_kept_line_is_no_header_in_an_envelope_without_stars(word: str) -> None:
    change = only(f"Begin Patch\nUpdate File: c.yml\n@@\n on:\n-  a\n+  b\n {word}: notes.txt\nEnd Patch\n")
    assert (change.op, change.path) == ("update", "c.yml")
    assert change.hunks[0].lines[-1] == Line(KEEP, f"{word}: notes.txt")


def test_a_fence_inside_a_block_is_text_also_in_an_envelope() -> None:
    block = BLOCK.replace("new", "```python\nx\n```")
    change = only(f"*** Begin Patch\n{block}*** End Patch\n")
    assert [line.text for line in change.hunks[0].lines] == ["old", "```python", "x", "```"]


@pytest.mark.parametrize(
    "more",
    [
        "*** Delete File: b.md\n",
        "*** Update File: b.md\n@@\n-x\n+y\n",
        "*** Add File: b.md\n+y\n",
        "diff --git a/b b/b\n",
        "--- a/b\n+++ b/b\n-x\n+y\n",
        "more\n>>>>>>> REPLACE\n",
    ],
)
def test_what_follows_a_block_in_another_format_is_not_passed_over(more: str) -> None:
    with pytest.raises(InvalidArguments):
        parse_patch(BLOCK + more)


def test_sentences_and_lists_around_blocks_are_passed_over() -> None:
    assert only(f"{BLOCK}\nIt does this:\n- one\n+ two\n---\n-- \nBob\n").path == "a.md"
    assert only(f"{DIFF}\nIt does this:\n- one\n* two\n-- \nBob\n").path == "q"


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        (f"{DIFF}The second place:\n@@ -9 +9 @@\n-c\n+d\n", "The second place:"),
        ("--- a/q\n+++ b/q\n@@ -1 +1 @@\n-q\n+r\nc\nd\n-e\n+f\n", "d"),
        (f"{DIFF}n.txt\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n", "n.txt"),
        (f"{DIFF}Then:\n*** Begin Patch\n*** Delete File: y\n*** End Patch\n", "Then:"),
        (f"*** Begin Patch\n{DIFF}*** Delete File: y\n*** End Patch\n", "*** Delete File: y"),
    ],
)
def test_a_diff_does_not_end_where_more_of_a_patch_follows(patch: str, text: str) -> None:
    hunk = only(patch).hunks[0]
    assert Line(KEEP, text) in hunk.lines  # which the file must have
    assert hunk.unmarked is not None


def test_a_diff_behind_the_end_of_an_envelope_is_not_passed_over() -> None:
    with pytest.raises(InvalidArguments):
        parse_patch(f"*** Begin Patch\n{DIFF}*** End Patch\n{DIFF.replace('q', 'z')}")


def test_a_sentence_becomes_no_name_of_a_new_file() -> None:
    new = "\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n"
    with pytest.raises(InvalidArguments, match="may be a sentence"):
        parse_patch(f"Now we add the helper in src/new.py:{new}")
    named = {"Create src/new.py:": "src/new.py", "My notes.txt": "My notes.txt", "`how to add.md`": "how to add.md"}
    assert {line: only(line + new).path for line in named} == named


@pytest.mark.anyio
async def test_a_line_number_behind_a_name_deletes_and_replaces_no_whole_file(fs: FsClient, tmp_path: Path) -> None:
    file = tmp_path / "root" / "n.txt"
    file.write_text("a\nb\nc\n")
    for name in ("n.txt:2", "n.txt#L2-L3"):
        assert "n.txt" not in readings(name, shows_lines=False)
        await fs.fails("apply_patch", patch=f"*** Begin Patch\n*** Delete File: {name}\n*** End Patch\n")
        await fs.fails("apply_patch", changes=[{"op": "update", "path": name, "content": "b\n"}])
    assert file.read_text() == "a\nb\nc\n"
    await fs.ok("apply_patch", patch="*** Begin Patch\n*** Update File: n.txt:2\n@@\n-b\n+B\n*** End Patch\n")
    assert file.read_text() == "a\nB\nc\n"
