"""Text of a repository can neither draw on a terminal nor become markup in the report."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_orch.analyst.report.safe_text import cell, code, prose, visible


@given(st.text())
def test_nothing_invisible_survives(text: str) -> None:
    shown = visible(text)
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", shown)


@given(st.text())
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = code(text)
    fence = re.match(r"`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall(r"`+", inside)


@pytest.mark.parametrize(
    "text",
    [
        "[click](javascript:alert)", "<img src=x onerror=y>", "# heading", "![x](http://evil.example)", "**bold**",
        "https://evil.example/path", "www.evil.example", "> quote", "- item", "1. item", "~~gone~~", "&lt;b&gt;",
        "| a | b |", "`code`", "=== title", "http://evil.example",
    ],
)  # fmt: skip
def test_markup_and_links_in_prose_are_spelled_out(text: str) -> None:
    shown = prose(text)
    assert not re.search(r"(?<!\\)[`<>*\[\]#~&]", shown)
    assert not re.search(r"(?<!\\)(?:https?:|www\.)", shown)
    assert not re.match(r"[-+=>]|\d+[.)]\s", shown)


def test_plain_words_stay_as_they_are() -> None:
    assert prose("Flask is a snake_case_friendly tool, isn't it? (Yes.)") == (
        "Flask is a snake_case_friendly tool, isn't it? (Yes.)"
    )
    assert prose("naïve café, 茶") == "naïve café, 茶"


def test_terminal_sequences_and_direction_marks_are_spelled_out() -> None:
    assert visible("a\x1b[2Jb\u202ec") == "a\\u{1b}[2Jb\\u{202e}c"


def test_a_bar_does_not_end_a_table_cell() -> None:
    assert cell(code("a | b")) == "`a \\| b`"


def test_long_text_is_cut_with_a_sign() -> None:
    assert prose("word " * 500, 50).endswith("…")
    assert len(code("x" * 1_000, 20)) <= 22
