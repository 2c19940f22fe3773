"""Diffs: what is added and removed, and the colours of the code in them."""

from __future__ import annotations

import re
from html import unescape

import pytest

from lg_console.drawing.colours import Colouring, language_of
from lg_console.drawing.diff import COLOURED, diff_picture, question_lines
from lg_console.markup.elements import markup

PATCH = """\
diff --git a/src/depth.py b/src/depth.py
--- a/src/depth.py
+++ b/src/depth.py
@@ -1,4 +1,4 @@
 def depth(chart):
     \"\"\"Depth in metres
     and not in feet.\"\"\"
-    return chart - 1  # tide
+    return chart + 1  # tide
"""


def coloured(path: str, *lines: str) -> list[tuple[str, str]]:
    language = language_of(path)
    assert language is not None
    colouring = Colouring(language)
    return [(kind, text) for line in lines for kind, text in colouring.pieces(line) if kind]


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("a.py", "if x == 'no': # why", [("word", "if"), ("string", "'no'"), ("comment", "# why")]),
        ("a.rs", "fn f<'a>(x: u8) // 1", [("word", "fn"), ("comment", "// 1")]),
        ("a.ts", "const a = `b` + 0x1f;", [("word", "const"), ("string", "`b`"), ("number", "0x1f")]),
        ("a.go", 'return "a\\"b" /* c */', [("word", "return"), ("string", '"a\\"b"'), ("comment", "/* c */")]),
        ("A.SQL", "SELECT 1 -- x", [("word", "SELECT"), ("number", "1"), ("comment", "-- x")]),
    ],
)
def test_code_has_the_colours_of_its_language(path: str, line: str, found: list[tuple[str, str]]) -> None:
    assert coloured(path, line) == found


def test_a_string_or_comment_over_several_lines_keeps_its_colour() -> None:
    assert coloured("a.py", '"""One', "if two", 'three""" if x') == [
        ("string", '"""One'), ("string", "if two"), ("string", 'three"""'), ("word", "if"),
    ]  # fmt: skip
    assert coloured("a.c", "/* if", "*/ if") == [("comment", "/* if"), ("comment", "*/"), ("word", "if")]


def test_a_diff_shows_each_character_once_whatever_its_colours() -> None:
    drawn = diff_picture(PATCH)
    assert '<span class="del">-    <i class="word">return</i> chart - <i class="number">1</i>' in drawn
    assert '<i class="string">    and not in feet."""</i>' in drawn
    shown = drawn.partition("<pre")[2].partition(">")[2].rpartition("</pre>")[0]
    assert unescape(re.sub("<[^>]+>", "", shown)) == PATCH


def test_a_removed_line_that_begins_like_a_head_is_a_removed_line() -> None:
    drawn = diff_picture("--- a/q.sql\n+++ b/q.sql\n@@ -1 +1 @@\n--- old\n+++ new\n")
    assert '<span class="del">-<i class="comment">-- old</i></span>' in drawn
    assert '<span class="add">+++ new</span>' in drawn


def test_a_question_has_colours_too_and_its_secrets_stay_marked() -> None:
    lines = ["Write a.py?", "| --- a/a.py", "| +++ b/a.py", "| @@ -1 +1 @@", "| +return 1", "|! a secret"]
    drawn = markup(*question_lines(lines))
    assert '<span class="add">| +<i class="word">return</i>' in drawn
    assert '<span class="secret">|! a secret</span>' in drawn


def test_a_diff_in_an_argument_of_a_question_has_colours_though_it_is_indented() -> None:
    lines = [
        "arguments:",
        "| patch:",
        "|   --- a/a.py",
        "|   +++ b/a.py",
        "|   @@ -1 +1 @@",
        "|   -x",
        "|   +return",
        "| n: 1",
    ]
    drawn = markup(*question_lines(lines))
    assert '<span class="add">|   +<i class="word">return</i>' in drawn
    assert '<span class="del">|   -x</span>' in drawn
    assert drawn.endswith("| n: 1")


@pytest.mark.parametrize("piece", ["\\'", '"', "'a", "/*", '"""', "0", "a" * 9, "<", "\u202e"])
def test_hostile_lines_are_text_and_a_page_stays_light(piece: str) -> None:
    long = "\n".join("+" + piece * (480 // len(piece)) for _ in range(4_000))
    drawn = diff_picture(f"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n{long}", characters=50_000)
    assert "<script" not in drawn
    assert drawn.count("<i ") < COLOURED / 10
