"""Which program a script names in its first line. The file is the project's, so only its beginning is read."""

from __future__ import annotations

import os
import re
import stat

HEAD_BYTES = 4_096
_LONG = re.compile(rb"'''exec' \"?([^\"\n]+?)\"? \"\$0\"")
"""How pip names an interpreter whose path is too long for a first line: `#!/bin/sh`, then this."""


def interpreter_of(script: str) -> str:
    """Return the absolute path of the program that runs a script, "" for a file that is none."""
    try:
        with open(script, "rb", opener=_at_once) as file:
            head = file.read(HEAD_BYTES) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return ""
    if not head.startswith(b"#!"):
        return ""
    first, _, rest = head[2:].partition(b"\n")
    words = first.split()
    long = _LONG.match(rest)
    path = os.fsdecode(long[1] if long is not None else words[0] if words else b"")
    return path if os.path.isabs(path) else ""


def gone_interpreter(program: str) -> str:
    """Return what a program cannot be started without and is gone: the interpreter of a script, a link's end; or ""."""
    if os.path.islink(program) and not os.path.exists(program):
        return os.path.realpath(program)
    interpreter = interpreter_of(program)
    if not interpreter or os.path.exists(interpreter):
        return ""
    return os.path.realpath(interpreter) if os.path.islink(interpreter) else interpreter


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
