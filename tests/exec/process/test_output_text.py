"""Program output as text."""

from __future__ import annotations

import pytest

from lg_exec.process.output_text import clean


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\n", "plain\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("line\r\nnext\r\n", "line\nnext\n"),
        ("a\x00b\x07c\x9bd", "abcd"),
        ("tab\tstays", "tab\tstays"),
        ("unfinished \x1b", "unfinished "),
        ("ünïcödé ✓", "ünïcödé ✓"),
    ],
)
def test_control_sequences_are_dropped_and_text_stays(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_megabyte_of_carriage_returns_is_quick() -> None:
    assert clean("x\r" * 500_000 + "end") == "end"
