"""Where hunks go, and what they leave alone."""

from __future__ import annotations

import pytest

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import Conflict, InvalidArguments


def patched(before: bytes, body: str) -> tuple[bytes, str]:
    (change,) = parse_patch(f"*** Begin Patch\n*** Update File: f\n{body}*** End Patch\n")
    applied = apply_hunks(load(before), change)
    return applied.document.encode(), applied.match


def diffed(before: bytes, hunks: str) -> tuple[bytes, str]:
    (change,) = parse_patch(f"--- a/f\n+++ b/f\n{hunks}")
    applied = apply_hunks(load(before), change)
    return applied.document.encode(), applied.match


def test_exact_lines_are_replaced_wherever_they_are() -> None:
    assert patched(b"a\nb\nc\n", "@@\n b\n-c\n+C\n+D\n") == (b"a\nb\nC\nD\n", "exact")


def test_wrong_line_numbers_do_not_matter() -> None:
    assert diffed(b"a\nb\nc\n", "@@ -77,2 +99,2 @@\n b\n-c\n+C\n") == (b"a\nb\nC\n", "exact")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\r\n"),
        (b"a\nb\nc", b"a\nB\nc"),
        (b"\xef\xbb\xbfa\nb\nc\n", b"\xef\xbb\xbfa\nB\nc\n"),
        (b"a\r\nb\nc\r\n", b"a\r\nB\nc\r\n"),
        ("ä\nb\nc\n".encode("latin-1"), "ä\nB\nc\n".encode("latin-1")),
        (b"\xff\xfe" + "a\nb\nc\n".encode("utf-16-le"), b"\xff\xfe" + "a\nB\nc\n".encode("utf-16-le")),
        (b"a \t\nb\nc\n", b"a \t\nB\nc\n"),
        (b"a\x0c\nb\nc\x85\n", b"a\x0c\nB\nc\x85\n"),
    ],
)
def test_everything_but_the_changed_line_stays_byte_for_byte(before: bytes, after: bytes) -> None:
    assert patched(before, "@@\n-b\n+B\n") == (after, "exact")


def test_the_last_line_is_changed_without_gaining_a_line_break() -> None:
    assert patched(b"a\nb", "@@\n a\n-b\n+c\n+d\n")[0] == b"a\nc\nd"


def test_a_diff_may_say_that_the_final_line_break_comes_or_goes() -> None:
    gone = "@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n"
    back = "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"
    assert diffed(b"a\nb\n", gone)[0] == b"a\nb"
    assert diffed(b"a\nb", back)[0] == b"a\nb\n"


def test_trailing_white_space_is_ignored_only_when_needed_and_kept_lines_keep_theirs() -> None:
    assert patched(b"a  \nb\t\nc\n", "@@\n a\n-b\n+B\n") == (b"a  \nB\nc\n", "trailing_whitespace")
    assert patched(b"b\nb \n", "@@\n-b \n+B\n") == (b"b\nB\n", "exact")


def test_leading_white_space_is_ignored_last_and_new_lines_are_indented_alike() -> None:
    before = b"class A:\n    def f(self):\n        return 1\n"
    body = "@@\n def f(self):\n-    return 1\n+    if x:\n+        return 2\n"
    after = b"class A:\n    def f(self):\n        if x:\n            return 2\n"
    assert patched(before, body) == (after, "leading_whitespace")


def test_lines_that_the_patch_indents_deeper_or_otherwise_than_the_file_are_put_as_the_file_has_them() -> None:
    deeper = "@@\n     def f(self):\n-        return 1\n+        if x:\n+            return 2\n+\n"
    after = b"def f(self):\n    if x:\n        return 2\n\n"
    assert patched(b"def f(self):\n    return 1\n", deeper) == (after, "leading_whitespace")
    assert patched(b"\tx\n", "@@\n-    x\n+    y\n") == (b"\ty\n", "leading_whitespace")


def test_indentation_that_differs_from_line_to_line_is_refused() -> None:
    with pytest.raises(Conflict, match="not the same on every line"):
        patched(b"    a\n        b\n", "@@\n   a\n-  b\n+  c\n")


def test_a_place_that_is_not_unique_is_refused_with_all_places() -> None:
    with pytest.raises(Conflict) as caught:
        patched(b"x = 1\ny\nx = 1\n", "@@\n-x = 1\n+x = 2\n")
    assert "2 places: lines 1, 3" in caught.value.message
    assert caught.value.hint.endswith("It could go to\n1: x = 1\n2: y\n3: x = 1")


def test_a_weaker_match_that_is_not_unique_is_refused_too() -> None:
    with pytest.raises(Conflict, match="trailing_whitespace"):
        patched(b"x \ny\nx  \n", "@@\n-x\n+z\n")


def test_an_anchor_chooses_among_several_places() -> None:
    before = b"def f():\n    return 1\n\ndef g():\n    return 1\n"
    assert patched(before, "@@ def g():\n-    return 1\n+    return 2\n")[0] == before[:-2] + b"2\n"
    nested = b"class A:\n  def f():\n    x\nclass B:\n  def f():\n    x\n"
    assert patched(nested, "@@ class B:\n@@ def f():\n-    x\n+    y\n")[0] == nested[:-2] + b"y\n"


def test_a_missing_anchor_is_named() -> None:
    with pytest.raises(Conflict, match="anchor 'def h"):
        patched(b"a\na\n", "@@ def h():\n-a\n+b\n")


def test_an_exactly_right_line_number_chooses_among_several_places() -> None:
    before = b"x\ny\nx\ny\nx\n"
    assert diffed(before, "@@ -3 +3 @@\n-x\n+z\n")[0] == b"x\ny\nz\ny\nx\n"
    two = "@@ -1 +1,2 @@\n-x\n+p\n+q\n@@ -3 +4 @@\n-x\n+z\n"
    assert diffed(before, two)[0] == b"p\nq\ny\nz\ny\nx\n"


def test_the_end_of_file_marker_chooses_the_last_place() -> None:
    assert patched(b"x\ny\nx\n", "@@\n-x\n+z\n*** End of File\n")[0] == b"x\ny\nz\n"


def test_hunks_come_in_order_and_each_looks_below_the_last() -> None:
    before = b"x\na\nx\nb\n"
    assert patched(before, "@@\n x\n-a\n+A\n@@\n-x\n+z\n")[0] == b"x\nA\nz\nb\n"
    with pytest.raises(Conflict) as caught:
        patched(before, "@@\n-b\n+B\n@@\n-a\n+A\n")
    assert "hunks must be in order" in caught.value.hint


def test_a_missing_place_shows_the_nearest_real_lines_with_numbers() -> None:
    with pytest.raises(Conflict) as caught:
        patched(b"one\ntwo = compute(a, b)\nthree\n", "@@\n-two = compute(a)\n+x\n")
    assert "2: two = compute(a, b)" in caught.value.hint


def test_a_search_for_a_part_of_a_line_is_told_which_line_it_is_a_part_of() -> None:
    with pytest.raises(Conflict) as caught:
        patched(
            b"x = 1\n    return sum(price + count for price, count in items)\n", "@@\n-price + count\n+price * count\n"
        )
    assert "only a part of this line" in caught.value.hint
    assert "2:     return sum(price + count for" in caught.value.hint


def test_added_lines_without_context_go_to_the_end_or_below_the_anchor() -> None:
    assert patched(b"a\n", "@@\n+b\n")[0] == b"a\nb\n"
    assert patched(b"a\nb\n", "@@ a\n+x\n")[0] == b"a\nx\nb\n"
    with pytest.raises(InvalidArguments):
        diffed(b"a\nb\n", "@@ -1,0 +2 @@\n+x\n")
    assert diffed(b"", "@@ -0,0 +1 @@\n+x\n")[0] == b"x\n"


def test_a_character_that_the_encoding_lacks_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="latin-1"):
        patched("ä\nb\n".encode("latin-1"), "@@\n-b\n+€\n")


def test_a_carriage_return_in_a_new_line_is_not_doubled_in_a_crlf_file() -> None:
    assert patched(b"a\r\nb\r\n", "@@\n a\n-b\n+c\r\n")[0] == b"a\r\nc\r\n"
