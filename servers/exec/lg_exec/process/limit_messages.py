"""Limits of which the kernel keeps no count: only the command's own error message tells that one was reached.

A process that may open no more files, write no further into one, or (where an rlimit counts processes) start no
other gets an error number and decides itself what to do; most print it and end. So the message of a command that failed
is looked at, in the forms in which Python, Node, Rust and C programs print an error number.

Not covered: programs that fail for that reason and say something else. A command that prints such a message and fails
for another reason is taken at its word.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_policy.limits import HeadTail

_NAMED = {
    errno.EMFILE: "open_files",
    errno.EFBIG: "file_size",
    errno.ENOSPC: "disk",
    errno.EAGAIN: "processes",
}
_THREADS = "can't start new thread"  # Python's words, without a number


def _pattern(number: int) -> str:
    said = re.escape(os.strerror(number))
    more = f"|{_THREADS}" if number == errno.EAGAIN else ""
    return rf"\[Errno {number}\]|\b{errno.errorcode[number]}\b|\(os error {number}\)|: {said}$" + more


_PATTERN = re.compile(
    "|".join(f"(?P<{name}>{_pattern(number)})" for number, name in _NAMED.items()), re.MULTILINE | re.IGNORECASE
)


def limit_complained_of(limits: Collection[str], *outputs: HeadTail) -> str | None:
    """The one of some limits that the last such message names; `None` without one."""
    for output in outputs:
        found = [match.lastgroup for match in _PATTERN.finditer(output.text()) if match.lastgroup in limits]
        if found:
            return found[-1]
    return None
