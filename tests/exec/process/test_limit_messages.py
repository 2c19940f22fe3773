"""Error messages from which a reached limit is told."""

from __future__ import annotations

import pytest

from lg_exec.process.limit_messages import limit_complained_of
from lg_policy.limits import HeadTail

ALL = ("open_files", "file_size", "disk", "processes")


def told(text: str) -> str | None:
    output = HeadTail(10_000)
    output.feed(text.encode())
    return limit_complained_of(ALL, output)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("OSError: [Errno 24] Too many open files: 'x'", "open_files"),
        ("Error: EMFILE: too many open files, open 'x'", "open_files"),
        ('Os { code: 24, message: "Too many open files" } (os error 24)', "open_files"),
        ("cat: x: Too many open files\n", "open_files"),
        ("OSError: [Errno 27] File too large", "file_size"),
        ("cp: error writing 'x': File too large\n", "file_size"),
        ("OSError: [Errno 28] No space left on device", "disk"),
        ("cp: x: No space left on device\nmore\n", "disk"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        ("sh: 1: Cannot fork: Resource temporarily unavailable\n", "processes"),
        ("RuntimeError: can't start new thread", "processes"),
        ("[Errno 24] first\n[Errno 28] last", "disk"),
    ],
)
def test_messages_of_the_system_name_the_limit(text: str, limit: str) -> None:
    assert told(text) == limit


@pytest.mark.parametrize(
    "text", ["", "AssertionError: 413 File too large for upload", "[Errno 2] No such file", "errno 24"]
)
def test_other_messages_name_none(text: str) -> None:
    assert told(text) is None


def test_a_limit_that_is_counted_is_not_told_from_messages() -> None:
    output = HeadTail(10_000)
    output.feed(b"[Errno 24] Too many open files\nBlockingIOError: [Errno 11] Resource temporarily unavailable")
    assert limit_complained_of({"open_files"}, output) == "open_files"
