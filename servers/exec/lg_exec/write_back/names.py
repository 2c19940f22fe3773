r"""Names of files as bytes on the disk, as `str` in Python, and as text that a human can read.

Inside this package a name is what `os.fsdecode` makes of it: a byte that is not UTF-8 is a lone surrogate.
"""

from __future__ import annotations

import os


def shown(name: str) -> str:
    r"""Return a name that fits on a line: bytes that are not UTF-8 as `\xff`, control characters as `\n` or `\x1b`."""
    if name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
