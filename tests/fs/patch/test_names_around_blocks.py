"""The name of a block's file is found in whatever models put around it; other wrappings are taken off."""

from __future__ import annotations

import pytest

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import Conflict, InvalidArguments

BLOCK = "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    "heading",
    [
        "// src/f.js", "/* src/f.js */", "<!-- src/f.js -->", "-- src/f.js", "; src/f.js", "% src/f.js", "# src/f.js",
        "1. src/f.js", "2) `src/f.js`", "- src/f.js", "- **src/f.js**", "* `src/f.js`:", "### 1. src/f.js"[4:],
        '<file path="src/f.js">', "<file name='src/f.js'>", '<edit file="src/f.js" mode="diff">', "/** src/f.js */",
        "// File: src/f.js", "<!-- file: src/f.js -->",
    ],
)  # fmt: skip
def test_a_comment_an_item_or_a_tag_may_name_the_file(heading: str) -> None:
    (change,) = parse_patch(f"{heading}\n{BLOCK}")
    assert (change.op, change.path) == ("update", "src/f.js")


def test_a_tag_around_each_block_ends_where_it_ends() -> None:
    first, second = parse_patch(f'<file path="a">\n{BLOCK}</file>\n<file path="b">\n{BLOCK}</file>\n')
    assert (first.path, second.path) == ("a", "b")


@pytest.mark.parametrize("indent", ["    ", "\t", "  "])
def test_an_envelope_whose_first_line_alone_is_not_indented(indent: str) -> None:
    rest = ["*** Update File: f", "@@", " one", "-two", "+2", "*** End Patch"]
    (change,) = parse_patch("*** Begin Patch\n" + "".join(f"{indent}{line}\n" for line in rest))
    assert apply_hunks(load(b"one\ntwo\n"), change).document.encode() == b"one\n2\n"


def test_an_indented_new_file_below_a_plain_header_keeps_its_indentation() -> None:
    (change,) = parse_patch("*** Begin Patch\n*** Add File: f\n+    a\n+  b\n*** End Patch\n")
    assert change.content == "    a\n  b\n"


def test_a_diff_without_any_hunk_header_is_one_hunk() -> None:
    first, second = parse_patch("--- a/f\n+++ b/f\n one\n-two\n+2\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n")
    assert [line.text for line in first.hunks[0].lines] == ["one", "two", "2"]
    assert second.path == "g"


@pytest.mark.parametrize("place", [200, 5_000, 90_000])
def test_of_long_lines_the_place_where_they_differ_is_shown(place: int) -> None:
    line = "x" * place + "REAL" + "z" * 400
    patch = f"*** Begin Patch\n*** Update File: f\n@@\n a\n-{line.replace('REAL', 'SENT')}\n+n\n*** End Patch\n"
    (change,) = parse_patch(patch)
    with pytest.raises(Conflict) as caught:
        apply_hunks(load(f"a\n{line}\nb\n".encode()), change)
    hint = caught.value.hint or ""
    assert f"line 2, from column {place + 1}" in hint
    assert "SENT" in hint
    assert "REAL" in hint
    assert len(hint) < 2_000


@pytest.mark.parametrize(
    ("heading", "name", "longer"),
    [
        ("first draft.md", "draft.md", ("first draft.md",)),
        ("Update new plan.md:", "plan.md", ("Update new plan.md", "new plan.md")),
        ("Then in `src/f.js`:", "src/f.js", ()),
        ("`first draft.md`", "first draft.md", ()),
        ('"next steps.md"', "next steps.md", ()),
        ("src/f.js", "src/f.js", ()),
    ],
)
def test_words_before_a_name_may_be_a_part_of_it(heading: str, name: str, longer: tuple[str, ...]) -> None:
    (change,) = parse_patch(f"{heading}\n{BLOCK}")
    assert (change.path, change.longer) == (name, longer)


@pytest.mark.parametrize("heading", ["first draft.md", "Create new plan.md", "to do.md"])
def test_a_new_file_whose_name_may_have_more_words_is_not_guessed(heading: str) -> None:
    with pytest.raises(InvalidArguments, match=r"may be"):
        parse_patch(f"{heading}\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n")
    with pytest.raises(InvalidArguments, match=r"may be"):
        parse_patch(f"{heading}\n\n@@ -0,0 +1 @@\n+x\n")
