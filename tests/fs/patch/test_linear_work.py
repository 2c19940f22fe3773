"""Comparing and finding lines takes work that grows with their number, whatever they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from difflib import SequenceMatcher

from hypothesis import given, settings
from hypothesis import strategies as st

from lg_fs.patch.alignment import grouped, opcodes
from lg_fs.patch.line_runs import find_runs


def counted(limit: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Two checks that fail when they are asked too often: the work is then more than linear."""
    asked = 0

    def step(weight: int) -> None:
        nonlocal asked
        asked += weight
        assert asked < limit

    return step, lambda: step(1)


def test_looking_for_a_run_of_lines_takes_linear_work() -> None:
    step, _ = counted(10 * 400_000)
    assert find_runs(["x"] * 200_000, ["x"] * 100_000 + ["y"], 0, step) == []
    assert len(find_runs(["x"] * 200_000, ["x"] * 100_000, 0, step)) == 100_001
    assert find_runs(["a", "b"] * 100_000, ["a", "b"] * 50_000 + ["c"], 0, step) == []


def test_comparing_two_texts_takes_bounded_work() -> None:
    _, check = counted(200_000)
    for old, new in (
        (["x"] * 50_000, ["y"] * 50_000),
        ([str(n % 97) for n in range(50_000)], [str(n * 7 % 89) for n in range(50_000)]),
        ([str(n) for n in range(50_000)], [str(n) for n in range(50_000, 0, -1)]),
    ):
        codes = opcodes(old, new, check)
        assert codes[-1][2] == len(old)
        assert codes[-1][4] == len(new)


_lines = st.lists(st.sampled_from("abcd"), max_size=20)


@settings(max_examples=300, deadline=None)
@given(old=_lines, new=_lines)
def test_a_comparison_turns_one_text_into_the_other(old: list[str], new: list[str]) -> None:
    result: list[str] = []
    at = 0
    for tag, a, b, c, d in opcodes(old, new):
        assert a == at
        result += old[a:b] if tag == "equal" else new[c:d]
        assert tag != "equal" or old[a:b] == new[c:d]
        at = b
    assert at == len(old)
    assert result == new


def test_a_comparison_is_about_as_short_as_the_quadratic_one() -> None:
    chance = random.Random(7)
    ours = theirs = 0
    for _ in range(300):
        old = [chance.choice("abcdefgh") for _ in range(40)]
        new = [line for line in old if chance.random() < 0.8]
        ours += sum(b - a for tag, a, b, _, _ in opcodes(old, new) if tag == "equal")
        codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        theirs += sum(b - a for tag, a, b, _, _ in codes if tag == "equal")
        assert grouped(codes, 3) == list(SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(3))
    assert ours >= theirs


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(st.sampled_from("ab"), max_size=30), wanted=st.lists(st.sampled_from("ab"), min_size=1, max_size=6)
)
def test_runs_are_found_wherever_they_stand(texts: list[str], wanted: list[str]) -> None:
    places = [at for at in range(len(texts) - len(wanted) + 1) if texts[at : at + len(wanted)] == wanted]
    assert find_runs(texts, wanted, 0) == places
    assert find_runs(texts, wanted, 3) == [at for at in places if at >= 3]
