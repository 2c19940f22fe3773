"""Foreign text cannot redraw, hide or imitate anything."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lg_policy.errors import ConfigError
from lg_policy.printing import (
    MIN_WIDTH,
    TAB,
    display_width,
    exit_text,
    one_line,
    quote,
    visible,
    wrap_foreign,
)

ODD = (
    "\x00\x07\x1b\x7f\x85\x9b\xa0\xad\u034f\u0378\u061c\u115f\u1160\u1680\u17b4\u180b\u180e\u2000\u200b\u200d\u200e\u2028"
    "\u2029\u202e\u202f\u2060\u2066\u2800\u3000\u303f\u3164\ud83d\udcff\ue000\ufe0f\ufeff\uffa0\ufff9\U0001d159\U0001d173"
    "\U000e0001\U000e0100\U000f0000\U0010ffff"
)
TEXTS = st.text(
    alphabet=st.one_of(st.characters(), st.sampled_from(ODD + '\n\r\t\\"|>{}uab e\u0301\u0338\u4e2d\u1f600'))
)
ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")


@pytest.mark.parametrize("character", ODD, ids=lambda character: f"{ord(character):x}")
def test_what_does_not_show_as_itself_is_spelled_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a\\u{{{ord(character):x}}}b"


def test_letters_of_any_script_and_signs_stay_as_they_are() -> None:
    text = "plain ~ Grüße, naïve, Привет, 日本語, हिन्दी, עברית, e\u0301, “quoted” — 5 €, 🙂"
    assert visible(text) == text


def test_lines_and_tabs_stay_only_where_the_caller_keeps_them() -> None:
    assert visible("a\tb\nc\r") == "a\\u{9}b\\u{a}c\\u{d}"
    assert visible("a\tb\nc\r", keep="\n\t") == "a\tb\nc\\u{d}"


def test_a_mark_without_a_letter_and_a_tower_of_marks_are_spelled_out() -> None:
    assert visible("\u0338a") == "\\u{338}a"
    assert visible("| \u0338") == "| \\u{338}"
    assert visible("\n\u0338", keep="\n") == "\n\\u{338}"
    assert visible("\x1b\u0338\u0338") == "\\u{1b}\\u{338}\\u{338}"
    assert visible("a" + "\u0301" * 6) == "a" + "\u0301" * 4 + "\\u{301}" * 2


@given(TEXTS)
def test_only_characters_that_show_come_out_and_no_other_is_lost(text: str) -> None:
    shown = visible(text)
    assert all(character == " " or unicodedata.category(character)[0] not in "CZ" for character in shown)
    assert ESCAPE.sub(lambda found: chr(int(found[1], 16)), shown) == ESCAPE.sub(
        lambda found: chr(int(found[1], 16)), text
    )
    assert visible(shown) == shown


def test_no_character_takes_more_columns_than_are_counted_for_it() -> None:
    """Compared with another library's table, over every plane that holds characters which show."""
    shown = [character for code in range(0x32400) if (character := visible(f"a{chr(code)}")[1:])]
    assert not [character for character in shown if cell_len(character) > display_width(character)]
    assert display_width("ab") == 2
    assert display_width("中🙂") == 4


@given(TEXTS, st.integers(min_value=0, max_value=120), st.sampled_from(["| ", "|   ", "  > "]))
def test_foreign_text_never_reaches_the_left_margin(text: str, width: int, margin: str) -> None:
    rows = wrap_foreign(text, width=width, margin=margin)
    assert all(row.startswith((margin, margin[:-1] + ">")) for row in rows)
    assert all(max(cell_len(row), display_width(row)) <= max(width, MIN_WIDTH) for row in rows)
    assert all(visible(row) == row for row in rows)


@given(TEXTS, st.integers(min_value=20, max_value=120))
def test_wrapping_loses_nothing_and_tells_a_wrapped_line_from_a_new_one(text: str, width: int) -> None:
    lines: list[str] = []
    for row in wrap_foreign(text, width=width):
        if row.startswith("| "):
            lines.append(row[2:])
        else:
            lines[-1] += row[2:]
    assert lines == [visible(line.removesuffix("\r").replace("\t", TAB)) for line in text.split("\n")]


def test_escapes_and_letters_with_marks_are_not_broken() -> None:
    assert wrap_foreign("a" * 15 + "\x1bb", width=20) == ["| " + "a" * 15, "|>\\u{1b}b"]
    assert wrap_foreign("a" * 17 + "e\u0301", width=20) == ["| " + "a" * 17, "|>e\u0301"]


def test_a_margin_that_text_could_run_into_is_refused() -> None:
    with pytest.raises(ValueError, match="space"):
        wrap_foreign("a", margin="|")


def test_a_name_is_quoted_so_that_it_cannot_leave_its_quotation_marks() -> None:
    assert quote("fs") == '"fs"'
    assert quote('a" (built in)\n\\') == '"a\\" (built in)\\u{a}\\\\"'
    assert quote("x" * 200, limit=5) == '"xxxxx"… (200 characters)'
    assert quote("") == '""'


@given(TEXTS, st.integers(min_value=10, max_value=60))
def test_a_quoted_name_is_one_line_that_ends_at_its_own_quotation_mark(text: str, limit: int) -> None:
    shown = quote(text, limit=limit)
    inside = re.fullmatch(r'"((?:[^"\\]|\\["\\]|\\u\{[0-9a-f]{1,6}\})*)"(?:… \(\d+ characters\))?', shown)
    assert inside is not None
    assert display_width(inside[1]) <= limit
    assert visible(shown) == shown


@given(TEXTS, st.integers(min_value=0, max_value=60))
def test_one_line_is_visible_and_no_wider_than_asked(text: str, width: int) -> None:
    line = one_line(text, width)
    assert visible(line) == line
    assert max(cell_len(line), display_width(line)) <= width


def test_one_line_says_that_something_was_left_out() -> None:
    assert one_line(" a\n\n b ", 10) == "a b"
    assert one_line("a" * 30, 10) == "a" * 8 + "…"


def test_the_error_that_ends_a_program_is_one_visible_line_with_its_code() -> None:
    error = ConfigError("no root \x1b[2J\nlg-fs: all is well", hint="pass one")
    assert exit_text(error) == "invalid_config: no root \\u{1b}[2J\\u{a}lg-fs: all is well (pass one)"
    assert exit_text(ValueError("x")) == "ValueError: x"
    assert exit_text(KeyError()) == "KeyError"
