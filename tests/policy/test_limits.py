"""Bounds on text, streams and time."""

from __future__ import annotations

import pytest

from lg_policy.errors import CallTimeout
from lg_policy.limits import Deadline, HeadTail, cut_text


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [("abc", 3, ("abc", False)), ("abcd", 3, ("abc", True)), ("aé", 2, ("a", True)), ("aé", 3, ("aé", False))],
)
def test_text_is_cut_between_characters(text: str, size: int, expected: tuple[str, bool]) -> None:
    assert cut_text(text, size) == expected


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_a_stream_keeps_its_head_and_tail_whatever_the_pieces(step: int) -> None:
    data = bytes(range(256)) * 4
    stream = HeadTail(100)
    for start in range(0, len(data), step):
        stream.feed(data[start : start + step])
    assert stream.total == 1024
    assert stream.bytes_kept() == (data[:50], data[-50:])
    assert stream.dropped == 924


def test_a_short_stream_is_kept_whole() -> None:
    stream = HeadTail(10)
    stream.feed(b"abcdefg")
    assert (stream.text(), stream.dropped) == ("abcdefg", 0)


def test_a_cut_stream_says_how_much_is_missing() -> None:
    stream = HeadTail(4)
    stream.feed(b"abcdefg")
    assert stream.text() == "ab\n[... 3 bytes dropped ...]\nfg"


def test_a_deadline_that_passed_raises_with_its_length() -> None:
    with pytest.raises(CallTimeout, match="the walk took longer than 0 s"):
        Deadline(0).check("the walk")
    assert Deadline(None).remaining() is None
    Deadline(60).check()
