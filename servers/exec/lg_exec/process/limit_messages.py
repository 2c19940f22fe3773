"""Limits of which the kernel keeps no count. Only the error message of a command tells that it has reached one.

A process that may open no more files, write no more into a file, or start no more processes gets an error number. It
decides itself what to do then; most programs print the number and end. So this module looks at the output of a command
that failed, for the forms in which Python, Node, Rust and C programs print an error number.

Not covered: programs that fail for that reason and say something else. A command that prints such a message and fails
for another reason is believed.
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
    """Return the limit that the last such message names, if it is one of `limits`; else `None`."""
    for output in outputs:
        found = [match.lastgroup for match in _PATTERN.finditer(output.text()) if match.lastgroup in limits]
        if found:
            return found[-1]
    return None
