"""Colours in a question: the diff's rows alone, and the text as it was."""

from __future__ import annotations

import io
import re

import pytest

from lg_orch.human.coloured import coloured, shows_colour

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
QUESTION = """\
lg-orch wants to call fs__apply_patch, which changes files.
+ not a row of a diff
| - a list
| --- a/calc.py
| +++ b/calc.py
| @@ -1,2 +1,2 @@
|  def add(a, b):
| -    return a - b
|>and a long row goes on
| +    return a + b
|! +    token = "masked"
| +    more
Why: to mend it
| - another list
| +"""


def test_the_rows_of_a_diff_are_coloured_and_nothing_is_changed() -> None:
    shown = coloured(QUESTION)
    assert ESCAPE.sub("", shown) == QUESTION
    rows = shown.split("\n")
    assert [row for row in rows if "\x1b[31m" in row] == [
        "| \x1b[31m-    return a - b\x1b[0m", "|>\x1b[31mand a long row goes on\x1b[0m",
    ]  # fmt: skip
    assert [row for row in rows if "\x1b[32m" in row] == [
        "| \x1b[32m+    return a + b\x1b[0m", "| \x1b[32m+    more\x1b[0m",
    ]  # fmt: skip
    assert all(row.count("\x1b") in (0, 2) for row in rows), "a colour ends with its row"


def test_a_long_question_is_coloured_in_linear_time() -> None:
    shown = coloured("| @@ -1 +1 @@\n" + "| +x\n" * 200_000)
    assert shown.count("\x1b[32m") == 200_000


def test_what_is_no_terminal_gets_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not shows_colour(io.StringIO())
