"""Whatever habit a patch was written with: the file becomes what was meant, or the patch is refused."""

from __future__ import annotations

import html
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.model import ADD, DROP, KEEP, Line
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import LgError

_line = st.sampled_from(
    [
        *("a", "b", "c", "", "}", "x = 1", "# note", "    if x:", "        return 1", "\tz"),
        *("if a < b:", "\t\tw & v", 'say "hi"', "it's", "1: one", "2\ttwo", "tab\there"),
    ]
)
Hunk = list[Line]


def numbered(hunk: Hunk, first: int, place: int) -> Hunk:
    """With the line numbers that `read_file` shows, on new lines too or not."""
    lines: Hunk = []
    for mark, text in hunk:
        lines.append(Line(mark, f"{first:6}\t{text}" if mark != ADD or place % 2 else text))
        first += mark != ADD
    return lines


def escaped(hunk: Hunk, _first: int, _place: int) -> Hunk:
    return [Line(mark, html.escape(text)) for mark, text in hunk]


def escaped_as_json(hunk: Hunk, _first: int, _place: int) -> Hunk:
    return [Line(mark, text.replace("<", "\\u003c").replace("&", "\\u0026")) for mark, text in hunk]


def with_typographic_quotes(hunk: Hunk, _first: int, _place: int) -> Hunk:
    return [Line(mark, text.replace('"', "\u201d")) for mark, text in hunk]


def with_no_break_spaces(hunk: Hunk, _first: int, _place: int) -> Hunk:
    return [Line(mark, text.replace(" ", "\u00a0")) for mark, text in hunk]


def with_lines_left_out(hunk: Hunk, _first: int, place: int) -> Hunk:
    kept = [n for n, line in enumerate(hunk) if line.mark == KEEP]
    assume(kept)
    begin = end = kept[place % len(kept)]
    while end + 1 < len(hunk) and hunk[end + 1].mark == KEEP and (place := place // 2) % 2:
        end += 1
    return [*hunk[:begin], Line(KEEP, "    # ... existing code ..."), *hunk[end + 1 :]]


def without_marks_on_kept_lines(hunk: Hunk, _first: int, _place: int) -> Hunk:
    assume(hunk[-1] != Line(KEEP, ""))  # an empty line before a header belongs to no hunk
    return [Line("" if mark == KEEP else mark, text) for mark, text in hunk]


HABITS: dict[Callable[[Hunk, int, int], Hunk], str] = {
    numbered: "",
    escaped: "<&\"'",
    escaped_as_json: "<&",
    with_typographic_quotes: '"',
    with_no_break_spaces: " ",
    with_lines_left_out: "",
    without_marks_on_kept_lines: "",
}
"""Each with the characters that show it: without one in the old lines, nothing tells how the new ones are meant."""


@settings(max_examples=600, deadline=None)
@given(
    old=st.lists(_line, min_size=1, max_size=12),
    new=st.lists(_line, max_size=3),
    cut=st.tuples(st.integers(0, 12), st.integers(0, 3)),
    context=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    habit=st.sampled_from(list(HABITS)),
    place=st.integers(0, 63),
    breaks=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_habit_never_makes_another_file_than_was_meant(
    old: list[str],
    new: list[str],
    cut: tuple[int, int],
    context: tuple[int, int],
    habit: Callable[[Hunk, int, int], Hunk],
    place: int,
    breaks: str,
) -> None:
    begin = min(cut[0], len(old))
    end = min(begin + cut[1], len(old))
    first, last = max(0, begin - context[0]), min(len(old), end + context[1])
    assume(old[begin:end] != new and first < last)
    hunk = [
        *(Line(KEEP, text) for text in old[first:begin]),
        *(Line(DROP, text) for text in old[begin:end]),
        *(Line(ADD, text) for text in new),
        *(Line(KEEP, text) for text in old[end:last]),
    ]
    shows = HABITS[habit]
    assume(not shows or any(set(shows) & set(text) for text in old[first:last]))
    body = "".join(f"{mark}{text}\n" for mark, text in habit(hunk, first + 1, place))
    try:
        (change,) = parse_patch(f"*** Begin Patch\n*** Update File: f\n@@\n{body}*** End Patch\n")
        document = load("".join(text + breaks for text in old).encode())
        result = apply_hunks(document, change).document.encode().decode()
    except LgError:
        return
    assert result == "".join(text + breaks for text in [*old[:begin], *new, *old[end:]])
