"""How models and editors get a patch nearly right, by kind: taken with one certain meaning, else told what is wrong."""

from __future__ import annotations

import pytest

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import Conflict, InvalidArguments, LgError

NUMBERS = "one\ntwo\nthree\nfour\nfive\nsix\n"


def envelope(hunks: str) -> str:
    return f"*** Begin Patch\n*** Update File: f\n{hunks}*** End Patch\n"


def unified(hunks: str) -> str:
    return f"--- a/f\n+++ b/f\n{hunks}"


def applied(before: str | bytes, patch: str) -> tuple[str, str]:
    """The file that one update of `f` makes of another, and the weakest match that was needed."""
    (change,) = parse_patch(patch)
    assert (change.op, change.path) == ("update", "f")
    result = apply_hunks(load(before if isinstance(before, bytes) else before.encode()), change)
    return result.document.encode().decode(), result.match


TAKEN: dict[str, tuple[str, str, str, str, str]] = {
    "the line of the old name is missing": (NUMBERS, "+++ f\n@@ -2 +2 @@\n-two\n+2\n", "two\n", "2\n", "exact"),
    "the line of the new name is missing": (NUMBERS, "--- f\n@@ -2 +2 @@\n-two\n+2\n", "two\n", "2\n", "exact"),
    "the old name is a pipe of the shell": (
        NUMBERS, "--- /dev/fd/63\t2026-01-01 10:00:00\n+++ f\n@@ -2 +2 @@\n-two\n+2\n", "two\n", "2\n", "exact",
    ),
    "the new name is the standard input": (NUMBERS, "--- f\n+++ -\n@@ -2 +2 @@\n-two\n+2\n", "two\n", "2\n", "exact"),
    "a mark of a conflict in place of SEARCH": (
        NUMBERS, "f\n<<<<<<< HEAD\ntwo\n=======\n2\n>>>>>>> REPLACE\n", "two\n", "2\n", "exact",
    ),
    "two operations on one file, the lower one first": (
        NUMBERS,
        "*** Begin Patch\n*** Update File: f\n@@\n-four\n+4\n*** Update File: f\n@@\n-two\n+2\n*** End Patch\n",
        "two\nthree\nfour\n", "2\nthree\n4\n",
        "exact",
    ),
    "the second operation changes what the first one wrote": (
        NUMBERS,
        unified("@@ -2 +2 @@\n-two\n+2\n") + unified("@@ -2 +2 @@\n-2\n+zwei\n"),
        "two\n", "zwei\n",
        "exact",
    ),
    "the mark of a missing line break though the file has one": (
        NUMBERS,
        unified("@@ -6 +6 @@\n-six\n\\ No newline at end of file\n+6\n\\ No newline at end of file\n"),
        "six\n", "6\n",
        "exact",
    ),
    "the same mark in the middle of the file": (
        NUMBERS, unified("@@ -2 +2 @@\n-two\n+2\n\\ No newline at end of file\n"), "two\n", "2\n", "exact",
    ),
    "the same mark without its backslash": (
        NUMBERS, unified("@@ -6 +6 @@\n-six\n+6\nNo newline at end of file\n"), "six\n", "6", "exact",
    ),
    "the same mark in an envelope": (
        NUMBERS, envelope("@@\n-six\n+6\n\\ No newline at end of file\n"), "six\n", "6", "exact",
    ),
    "tabs turned into blanks, at several depths": (
        "def f():\n\tif x:\n\t\treturn 1\n",
        envelope("@@\n def f():\n     if x:\n-        return 1\n+        if y:\n+            return 2\n"),
        "\t\treturn 1\n", "\t\tif y:\n\t\t\treturn 2\n",
        "leading_whitespace",
    ),
    "blanks turned into tabs, at several depths": (
        "def f():\n  if x:\n    return 1\n",
        envelope("@@\n def f():\n \tif x:\n-\t\treturn 1\n+\t\tif y:\n+\t\t\treturn 2\n"),
        "    return 1\n", "    if y:\n      return 2\n",
        "leading_whitespace",
    ),
    "a tab between words turned into blanks": (
        "a\tb\nc\td\n", envelope("@@\n a    b\n-c    d\n+c\n"), "c\td\n", "c\n", "unicode_form",
    ),
    "escaped as HTML throughout": (
        "if a < b:\n    x = a & b\n",
        envelope("@@\n if a &lt; b:\n-    x = a &amp; b\n+    x = a &gt; &quot;b&quot;\n"),
        "    x = a & b\n", '    x = a > "b"\n',
        "escapes",
    ),
    "escaped as JSON that goes into HTML": (
        "if a < b:\n    x = 'a' & b\n",
        envelope("@@\n if a \\u003c b:\n-    x = \\u0027a\\u0027 \\u0026 b\n+    x = a \\u003e b\n"),
        "    x = 'a' & b\n", "    x = a > b\n",
        "escapes",
    ),
    "tabs written out before the text": (
        'f() {\n\tif x {\n\t\tprint("a\\tb")\n',
        envelope('@@\n \\tif x {\n-\\t\\tprint("a\\tb")\n+\\t\\tprint("c\\td")\n'),
        '\t\tprint("a\\tb")\n', '\t\tprint("c\\td")\n',
        "escapes",
    ),
    "escaped as HTML, the format too": (
        NUMBERS,
        "f\n&lt;&lt;&lt;&lt;&lt;&lt;&lt; SEARCH\ntwo\n=======\n2\n&gt;&gt;&gt;&gt;&gt;&gt;&gt; REPLACE\n",
        "two\n", "2\n",
        "exact",
    ),
    "the line numbers of read_file on all lines": (
        NUMBERS, envelope("@@\n      1\tone\n-     2\ttwo\n+     2\t2\n"), "two\n", "2\n", "line_numbers",
    ),
    "the line numbers of read_file on old lines only": (
        NUMBERS, envelope("@@\n      1\tone\n-     2\ttwo\n+2\n"), "two\n", "2\n", "line_numbers",
    ),
    "the line numbers of search_files": (
        NUMBERS, envelope("@@\n   1: one\n-  2: two\n+  2: 2\n"), "two\n", "2\n", "line_numbers",
    ),
    "dots for kept lines": (NUMBERS, envelope("@@\n one\n ...\n-four\n+4\n ...\n"), "four\n", "4\n", "left_out_lines"),
    "a comment for kept lines between two changes": (
        NUMBERS,
        envelope("@@\n-two\n+2\n # ... existing code ...\n-four\n+4\n"),
        "two\nthree\nfour\n", "2\nthree\n4\n",
        "left_out_lines",
    ),
    "dots for lines in a block": (
        "def f():\n    a\n    b\n    return 1\n",
        (
            "f\n<<<<<<< SEARCH\ndef f():\n    ...\n    return 1\n"
            "=======\ndef f():\n    ...\n    return 2\n>>>>>>> REPLACE\n"
        ),
        "    return 1\n", "    return 2\n",
        "left_out_lines",
    ),
    "a fence that is not closed": (NUMBERS, "```diff\n" + unified("@@ -2 +2 @@\n-two\n+2\n"), "two\n", "2\n", "exact"),
    "a fence that was not opened": (NUMBERS, unified("@@ -2 +2 @@\n-two\n+2\n```\n"), "two\n", "2\n", "exact"),
    "a remark right below the hunk": (
        NUMBERS, unified("@@ -2 +2 @@\n-two\n+2\nThis changes one line.\n"), "two\n", "2\n", "exact",
    ),
    "wrong counts in the header": (NUMBERS, unified("@@ -1,9 +4,7 @@\n one\n-two\n+2\n"), "two\n", "2\n", "exact"),
    "typographic quotes in place of plain ones": (
        'print("a")\n', envelope("@@\n-print(\u201ca\u201d)\n+print(\u201cb\u201d)\n"), '"a"', '"b"', "unicode_form",
    ),
    "plain quotes in place of typographic ones, on a kept line": (
        "say \u201cx\u201d\nb\n", envelope('@@\n say "x"\n-b\n+c\n'), "b\n", "c\n", "unicode_form",
    ),
    "no-break spaces for the indentation": (
        "def f():\n    if x:\n        return 1\n",
        envelope("@@\n \u00a0\u00a0\u00a0\u00a0if x:\n-\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0return 1\n"
                 "+\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0return\u00a02\n"),
        "return 1", "return 2",
        "leading_whitespace",
    ),
    "a no-break space for the mark of a kept line": (
        NUMBERS, unified("@@ -1,2 +1,2 @@\n\u00a0one\n-two\n+2\n"), "two\n", "2\n", "exact",
    ),
    "kept lines without the blank before them": (
        "def f():\n    if x:\n        return 1\n",
        envelope("@@\ndef f():\n    if x:\n-        return 1\n+        return 2\n"), "return 1", "return 2", "exact",
    ),
    "indented kept lines without the blank before them": (
        "    if x:\n        y()\n        z()\n",
        envelope("@@\n    if x:\n        y()\n+        w()\n        z()\n"), "y()\n", "y()\n        w()\n",
        "leading_whitespace",
    ),
    "kept lines of a diff without the blank before them": (
        NUMBERS, unified("@@ -1,3 +1,3 @@\none\n-two\n+2\nthree\n"), "two\n", "2\n", "exact",
    ),
    "no-break spaces in the headers": (
        NUMBERS, "---\u00a0a/f\n+++\u00a0b/f\n@@\u00a0-2 +2 @@\n-two\n+2\n", "two\n", "2\n", "exact",
    ),
    "zero-width characters in lines": (
        NUMBERS, envelope("@@\n-t\u200bwo\n+z\u200bwei\n"), "two", "zwei", "unicode_form",
    ),
    "zero-width characters around the headers": (
        NUMBERS,
        "\u200b*** Begin Patch\n\ufeff*** Update File: f\u200b\n@@\n-two\n+2\n\u2060*** End Patch\n",
        "two\n", "2\n",
        "exact",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_a_habit_with_one_meaning_is_taken(kind: str) -> None:
    before, patch, old, new, match = TAKEN[kind]
    assert before.count(old) == 1
    assert applied(before, patch) == (before.replace(old, new), match)


REFUSED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "only pipes are named": (NUMBERS, "--- /dev/fd/63\n+++ /dev/fd/62\n@@ -2 +2 @@\n-two\n+2\n", ("is a pipe, not",)),
    "the standard input is to be changed": (
        NUMBERS, envelope("@@\n-two\n+2\n").replace("File: f", "File: /dev/stdin"), ("'/dev/stdin'", "name the file"),
    ),
    "a conflict of a merge": (
        NUMBERS,
        "f\n<<<<<<< HEAD\ntwo\n=======\n2\n>>>>>>> feature\n",
        ("line 6: '>>>>>>> feature'", "which half is wanted", "'<<<<<<< SEARCH'"),
    ),
    "a conflict of a merge with its base": (
        NUMBERS, "f\n<<<<<<< HEAD\ntwo\n||||||| 1a2b\nzwei\n=======\n2\n>>>>>>> x\n", ("line 4: '||||||| 1a2b'",),
    ),
    "a block without its end": (NUMBERS, "f\n<<<<<<< SEARCH\ntwo\n=======\n2\n", ("it has no '>>>>>>> REPLACE'",)),
    "only modes": (NUMBERS, "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n", ("line 2: mode changes",)),
    "only the names of a diff": (NUMBERS, "diff --git a/f b/g\n", ("'f' and 'g' differ", "'rename from'")),
    "indentation that is wrong in two ways": (
        "if x:\n    a\n        b\n",
        envelope("@@\n   a\n-  b\n+  c\n"),
        ("not the same on every line", "line 2\nhunk: '  a'\nfile: '    a'", "line 3\nhunk: '  b'"),
    ),
    "escaped as HTML here and there": (
        "if a < b:\n    x = a & b\n",
        envelope("@@\n if a &lt; b:\n-    x = a & b\n+    x = 1\n"),
        ("escapes such as &lt;", "the first line that differs is line 1", "hunk: 'if a &lt; b:'\nfile: 'if a < b:'"),
    ),
    "line numbers of another state of the file": (
        NUMBERS,
        envelope("@@\n      4\tone\n-     5\tzwei\n+     5\t2\n"),
        ("leave the numbers out", "the first line that differs is line 2", "hunk: 'zwei'\nfile: 'two'"),
    ),
    "line numbers on some new lines": (
        NUMBERS, envelope("@@\n-     2\ttwo\n+     2\t2\n+more\n"), ("leave the numbers out",),
    ),
    "dots before lines that are there twice": (
        "a\nb\nx\nc\nx\n", envelope("@@\n a\n ...\n-x\n+y\n"), ("leaves out lines", "'x' is in 2 places: lines 3, 5"),
    ),
    "dots before lines that are not there": (
        NUMBERS, envelope("@@\n one\n ...\n-foour\n+4\n"), ("leaves out lines", "hunk: 'foour'\nfile: 'four'"),
    ),
    "dots for lines that are removed": (
        NUMBERS, envelope("@@\n-one\n-...\n-four\n+4\n"), ("'...' stands for lines that were left out",),
    ),
    "a remark in place of lines that are removed": (
        NUMBERS,
        envelope("@@\n-one\n-two\n+1\n+// ... rest of the code ...\n"),
        ("'// ... rest of the code ...' in place of the lines", "write all new lines"),
    ),
    "a remark below a hunk that is not whole": (
        NUMBERS, unified("@@ -1,3 +1,3 @@\n one\n-two\n+2\nSo.\n"), ("line 7: 'So.'", "leave remarks out"),
    ),
    "a kept line without its blank, which is indented otherwise": (
        "def f():\n    if x:\n        return 1\n",
        envelope("@@\ndef f():\n     if x:\n-        return 1\n+        return 2\n"),
        ("line 4: 'def f():' is no line of a hunk",),
    ),
    "a remark between the lines of a hunk": (
        NUMBERS, envelope("@@\n one\nNow we change two:\n-two\n+2\n"), ("'Now we change two:' is no line of a hunk",),
    ),
    "nothing but lines without marks": (NUMBERS, envelope("@@\none\ntwo\n"), ("line 4: 'one' is no line",)),
    "two places for a line that is escaped": (
        "a < b\nc\na < b\n", envelope("@@\n-a &lt; b\n+a &gt; b\n"), ("fits in 2 places", "lines 1, 3"),
    ),
    "line numbers after an operation that moved the lines": (
        "x\ny\nx\n",
        unified("@@ -2 +2,2 @@\n-y\n+z\n+z\n") + unified("@@ -3 +3 @@\n-x\n+w\n"),
        ("fits in 2 places",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_habit_with_no_certain_meaning_is_refused_with_what_to_do(kind: str) -> None:
    before, patch, words = REFUSED[kind]
    with pytest.raises(LgError) as caught:
        applied(before, patch)
    assert isinstance(caught.value, (Conflict, InvalidArguments))
    text = f"{caught.value.message}\n{caught.value.hint}"
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "fence", ["```python:f/a.py", "```python f/a.py", '```py title="f/a.py"', "```f/a.py", "~~~js:f/a.py"]
)
def test_the_fence_around_a_block_may_name_the_file(fence: str) -> None:
    (change,) = parse_patch(f"{fence}\n<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n{fence[:3]}\n")
    assert (change.op, change.path) == ("update", "f/a.py")


@pytest.mark.parametrize("fence", ["```python", "```diff", "````", "``` python", "```c++"])
def test_the_language_of_a_fence_is_no_file(fence: str) -> None:
    (change,) = parse_patch(f"f\n{fence}\n<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n```\n")
    assert change.path == "f"


def test_a_rename_needs_only_one_of_its_two_lines() -> None:
    (change,) = parse_patch("diff --git a/f b/g\nsimilarity index 100%\nrename to g\n")
    assert (change.op, change.path, change.to) == ("move", "f", "g")


def test_a_new_file_of_an_envelope_may_end_without_a_line_break() -> None:
    (change,) = parse_patch("*** Begin Patch\n*** Add File: f\n+a\n+b\n\\ No newline at end of file\n*** End Patch\n")
    assert change.content == "a\nb"


@pytest.mark.parametrize("header", ["+++ b/new", "--- a/new"])
def test_a_header_with_one_line_ends_the_hunk_above_it_if_that_is_whole(header: str) -> None:
    second = f"{header}\n@@ -1 +1 @@\n-x\n+y\n"
    first, other = parse_patch(unified("@@ -2 +2 @@\n-two\n+2\n") + second)
    assert (first.path, [line.text for line in first.hunks[0].lines]) == ("f", ["two", "2"])
    assert other.path == "new"
    (whole,) = parse_patch(unified(f"@@ -2,2 +2,2 @@\n-two\n+2\n{header}\n@@ -9 +9 @@\n-x\n+y\n"))
    assert len(whole.hunks) == 2


def test_a_remark_about_lines_that_the_file_itself_has_may_be_changed() -> None:
    before = "# ... existing code ...\n"
    patch = envelope("@@\n-# ... existing code ...\n+# ... other code ...\n")
    assert applied(before, patch) == ("# ... other code ...\n", "exact")


def test_dots_that_are_in_the_file_are_lines_like_others() -> None:
    assert applied("a:\n...\nb\n...\n", envelope("@@\n b\n-...\n+c\n")) == ("a:\n...\nb\nc\n", "exact")


def test_new_lines_keep_typographic_forms_that_the_file_has() -> None:
    before = "x \u2018y\u2019 = \u201cz\u201d\n"
    assert applied(before, envelope("@@\n-x 'y' = \u201cz\u201d\n+x 'y' = \u201cw\u201d\n")) == (
        "x 'y' = \u201cw\u201d\n",
        "unicode_form",
    )
