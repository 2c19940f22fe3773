"""Three patch formats become the same data."""

from __future__ import annotations

import pytest

from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_fs.patch.parse import parse_changes, parse_patch
from lg_policy.errors import InvalidArguments

ENVELOPE = """\
*** Begin Patch
*** Add File: new.txt
+hello
+
*** Update File: a.py
*** Move to: b.py
@@ class A
@@     def f(self):
     x = 1
-    return x
+    return x + 1

*** Delete File: old.py
*** End Patch
"""

GIT = """\
diff --git a/a.py b/a.py
index 1234567..89abcde 100644
--- a/a.py
+++ b/a.py
@@ -1,2 +1,2 @@ def f():
 one
-two
+TWO
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/run.sh b/run.sh
new file mode 100755
--- /dev/null
+++ b/run.sh
@@ -0,0 +1,2 @@
+#!/bin/sh
+true
\\ No newline at end of file
diff --git a/p b/q
similarity index 100%
rename from p
rename to q
"""

BLOCKS = """\
src/a.py
```python
<<<<<<< SEARCH
one
two
=======
one
2
>>>>>>> REPLACE
```
<<<<<<< SEARCH
nine
=======
>>>>>>> REPLACE

new.txt
<<<<<<< SEARCH
=======
hello
>>>>>>> REPLACE
"""


def test_the_envelope_adds_moves_and_deletes() -> None:
    hunk = Hunk(
        lines=(Line(KEEP, "    x = 1"), Line(DROP, "    return x"), Line(ADD, "    return x + 1")),
        anchors=("class A", "    def f(self):"),
    )
    assert parse_patch(ENVELOPE) == [
        FileChange(op="add", path="new.txt", content="hello\n\n"),
        FileChange(op="move", path="a.py", to="b.py", hunks=(hunk,)),
        FileChange(op="delete", path="old.py"),
    ]


def test_a_git_diff_updates_deletes_creates_and_renames() -> None:
    update, delete, add, move = parse_patch(GIT)
    assert update == FileChange(
        op="update",
        path="a.py",
        hunks=(Hunk(lines=(Line(KEEP, "one"), Line(DROP, "two"), Line(ADD, "TWO")), line=1),),
    )
    assert (delete.op, delete.path) == ("delete", "gone")
    assert add == FileChange(op="add", path="run.sh", content="#!/bin/sh\ntrue", executable=True)
    assert move == FileChange(op="move", path="p", to="q")


def test_a_plain_diff_keeps_names_that_have_no_prefix() -> None:
    (change,) = parse_patch("--- lib/a.py\t2026-01-01\n+++ lib/a.py\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n")
    assert (change.op, change.path) == ("update", "lib/a.py")


def test_a_removed_line_may_look_like_a_header() -> None:
    (change,) = parse_patch("--- a\n+++ a\n@@ -1,3 +1,2 @@\n x\n--- comment\n y\n")
    assert change.hunks[0].lines == (Line(KEEP, "x"), Line(DROP, "-- comment"), Line(KEEP, "y"))


def test_search_replace_blocks_for_one_file_are_gathered() -> None:
    update, add = parse_patch(BLOCKS)
    assert update == FileChange(
        op="update",
        path="src/a.py",
        hunks=(
            Hunk(lines=(Line(KEEP, "one"), Line(DROP, "two"), Line(ADD, "2"))),
            Hunk(lines=(Line(DROP, "nine"),)),
        ),
        in_order=False,
    )
    assert add == FileChange(op="add", path="new.txt", content="hello\n")


def test_a_fence_around_everything_and_crlf_throughout_do_not_matter() -> None:
    plain = parse_patch(ENVELOPE)
    assert parse_patch(f"\n```diff\n{ENVELOPE}```\n") == plain
    assert parse_patch(ENVELOPE.replace("\n", "\r\n")) == plain


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("", "patch is empty"),
        ("hello\n", "format not recognised"),
        ("*** Begin Patch\n*** End Patch", "changes no file"),
        ("*** Begin Patch\n*** Delete File: a\n", "without '*** End Patch'"),
        ("*** Begin Patch\n*** Frob File: a\n*** End Patch", "line 2: '*** Frob File: a' begins no file"),
        ("*** Begin Patch\n*** Add File: a\nx\n*** End Patch", "line 3: a line of a new file"),
        ("*** Begin Patch\n*** Update File: a\n@@\n x\n*** End Patch", "changes nothing"),
        ("*** Begin Patch\n*** Update File: a\n@@\n x\n*x\n*** End Patch", "line 5: '*x' is no line of a hunk"),
        (
            "*** Begin Patch\n*** Delete File: a\n*** End Patch\n*** Delete File: b",
            "line 4: there is text after '*** End Patch'",
        ),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "mode changes"),
        ("diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n", "120000"),
        ("diff --git a/x b/x\nnew file mode 160000\n", "160000"),
        ("diff --git a/x b/x\nGIT binary patch\n", "binary"),
        ("diff --git a/x b/y\ncopy from x\ncopy to y\n", "copies"),
        ("--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "line 1: the names 'x' and 'y' differ"),
        ("diff --git a/x b/x\n--- a/x\n+++ b/z\n@@ -1 +1 @@\n-a\n+b\n", "'diff --git' line"),
        ('--- "a/\\303\n+++ "b/\\303\n@@ -1 +1 @@\n-a\n+b\n', "not complete"),
        ('--- "a/\\303"\n+++ "b/\\303"\n@@ -1 +1 @@\n-a\n+b\n', "not UTF-8"),
        ("--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-a\n+b\n", "/dev/null"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n a\n", "changes nothing"),
        ("--- a/x\n+++ b/x\nfoo\n", "belongs to no diff"),
        ("a\n<<<<<<< SEARCH\nx\n", "not complete"),
        ("<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n", "names no file"),
        ("a\n<<<<<<< SEARCH\nx\n=======\ny\n=======\nz\n>>>>>>> REPLACE\n", "two '======='"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_the_place_named(patch: str, words: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        parse_patch(patch)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"op": "add", "path": "a"},
        {"op": "delete", "path": "a", "content": "x"},
        {"op": "move", "path": "a"},
        {"op": "update", "path": "a", "content": "x", "to": "b"},
    ],
)
def test_a_change_without_what_its_operation_needs_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(InvalidArguments):
        parse_changes([change])
