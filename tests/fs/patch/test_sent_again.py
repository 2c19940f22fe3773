"""A patch that was applied and is sent again never adds its lines twice."""

from __future__ import annotations

import pytest

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import Conflict


def envelope(hunks: str) -> str:
    return f"*** Begin Patch\n*** Update File: f\n{hunks}*** End Patch\n"


def applied(before: str, patch: str) -> str:
    (change,) = parse_patch(patch)
    return apply_hunks(load(before.encode()), change).document.encode().decode()


INSERTIONS = {
    "below a line": ("one\ntwo\nthree\n", envelope("@@\n two\n+new\n")),
    "above a line": ("import os\nx\n", envelope("@@\n+import sys\n import os\n")),
    "at the end of the file": ("one\ntwo\n", envelope("@@\n two\n+new\n")),
    "at the end without context": ("one\n", envelope("@@\n+def f():\n+    pass\n")),
    "below an anchor": ("class A:\n    x = 1\n", envelope("@@ class A:\n+    y = 2\n")),
    "with a line that is removed and added again": ("one\ntwo\n", envelope("@@\n-two\n+two\n+new\n")),
    "into a file with CRLF": ("one\r\ntwo\r\n", envelope("@@\n two\n+new\n")),
    "with other blanks at the ends of lines": ("one\ntwo  \n", envelope("@@\n two\n+new\n")),
    "as a block": ("one\ntwo\n", "f\n<<<<<<< SEARCH\ntwo\n=======\ntwo\nnew\n>>>>>>> REPLACE\n"),
    "as a block with the new line first": (
        "one\ntwo\n",
        "f\n<<<<<<< SEARCH\ntwo\n=======\nnew\ntwo\n>>>>>>> REPLACE\n",
    ),
    "as a diff": ("one\ntwo\n", "--- a/f\n+++ b/f\n@@ -2 +2,2 @@\n two\n+new\n"),
    "in two places": ("a\nb\nc\nd\n", envelope("@@\n a\n+first\n@@\n c\n+second\n")),
}


@pytest.mark.parametrize("kind", INSERTIONS)
def test_an_insertion_that_is_sent_again_is_refused_as_already_applied(kind: str) -> None:
    before, patch = INSERTIONS[kind]
    once = applied(before, patch)
    assert once != before
    with pytest.raises(Conflict, match="already applied") as caught:
        applied(once, patch)
    assert "show the unchanged lines above and below" in (caught.value.hint or "")


def test_the_parts_that_are_not_applied_are_named() -> None:
    patch = envelope("@@\n a\n+first\n@@\n-c\n+C\n")
    with pytest.raises(Conflict) as caught:
        applied("a\nfirst\nc\n", patch)
    assert "hunk 1" in caught.value.message
    assert "not applied yet: hunk 2" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("before", "hunk", "after"),
    [
        ("x\n\n", " x\n+\n", "x\n\n\n"),
        ("  },\n", "   },\n+  },\n", "  },\n  },\n"),
        ("0,\nb\n0,\n", " b\n 0,\n+0,\n", "0,\nb\n0,\n0,\n"),
        ("a\nnew\nb\n", " a\n+new\n new\n b\n", "a\nnew\nnew\nb\n"),
    ],
)
def test_lines_that_are_meant_twice_are_added_twice(before: str, hunk: str, after: str) -> None:
    assert applied(before, envelope(f"@@\n{hunk}")) == after


def test_a_move_that_shows_lines_without_changing_them_only_moves() -> None:
    patch = "*** Begin Patch\n*** Update File: a\n*** Move to: b\n@@\n one\n two\n*** End Patch\n"
    (change,) = parse_patch(patch)
    assert (change.op, change.path, change.to, change.hunks) == ("move", "a", "b", ())
