"""What is printed on a terminal fits it, and nothing foreign begins a row."""

from __future__ import annotations

import pytest

from lg_policy.printing import MIN_WIDTH, display_width, divided, hanging, visible
from lg_policy.terminal_rows import laid_out, relaid, rows_of

LINES = [
    "ap-1  pending  asked by me: " + "approved by an operator " * 9,
    "word" * 60,
    "      indented: " + "語" * 70,
    "e\u0301\u0301" * 80 + " x",
    "a  b   c" + " " * 90 + "d",
    visible("\x1b[2J\u202e" * 20 + "\U0001f468\u200d\U0001f469" * 9),
    "",
    " " * 200,
]


@pytest.mark.parametrize("width", [1, 20, 40, 80, 200])
@pytest.mark.parametrize("line", LINES)
def test_a_long_line_goes_on_in_indented_rows_and_loses_no_word(line: str, width: int) -> None:
    rows = hanging(line, width)
    assert all(display_width(row) <= max(width, MIN_WIDTH) for row in rows)
    assert all(row.startswith("   ") for row in rows[1:])
    parts = [line[begin:end] for _, begin, end in divided(line, width)]
    assert "".join(parts).replace(" ", "") == line.replace(" ", "")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_question_that_was_laid_out_for_one_screen_can_be_laid_out_for_another(width: int) -> None:
    said = [
        "A tool call needs your approval.", 'server: "a b" (third party)', f"why you are asked: {'a rule ' * 30}end",
        f'what it would do, according to server "{"n" * 60}":', *(f"| {line}" for line in LINES if line.strip()),
        "|! secret " + "s" * 100, "| > not a row that goes on", "|  two blanks",
    ]  # fmt: skip
    first = "\n".join(laid_out(said, 60))
    shown = relaid(first, width).split("\n")
    assert all(display_width(row) <= width for row in shown)
    assert relaid("\n".join(shown), 60) == first


def test_rows_behind_the_margin_stay_behind_it_on_a_narrower_terminal() -> None:
    shown = rows_of(f"| {'x' * 50}\n|>{'y' * 50}\n|! {'z' * 30}\nours {'w' * 50}", 20)
    assert all(row.startswith(("| ", "|>", "|!", "ours", "    ", "   >")) for row in shown)
    assert shown[0] == "| " + "x" * 18
    assert next(row for row in shown if "y" in row).startswith("|>y")
