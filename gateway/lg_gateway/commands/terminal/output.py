r"""Prints for `lg-gateway`. Text of a server, a client or a file never reaches the terminal unescaped.

`say` and `complain` write out control, bidirectional and invisible characters as `\u{…}`; line feeds and tabs stay.
On a terminal a line that is too long for it goes on in indented rows, so that nothing foreign begins a row; `say_whole`
prints what will be copied as it is. Names and paths that stand in a line of ours go through `word` first, which leaves
plain ones as they are and puts any other between quotation marks. `print_json` escapes what is not plain ASCII.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from lg_gateway.approvals import layout
from lg_policy.errors import LgError
from lg_policy.printing import visible
from lg_policy.terminal_rows import fitting

WORD_WIDTH = 120
"""Columns of a name or path that stands in a line of ours."""
LIST_WIDTH = 60
"""Columns of a name in a list."""


def say(text: str) -> None:
    """Print a text to standard output."""
    print(fitting(_safe(text), sys.stdout))


def say_whole(text: str) -> None:
    """Print to standard output what is copied, or read by a program: the terminal wraps it."""
    print(_safe(text))


def complain(text: str) -> None:
    """Print a message to standard error."""
    print(fitting(_safe(text), sys.stderr), file=sys.stderr)


def fail(error: Exception | str) -> None:
    """Print to standard error, on one line, why a command failed."""
    text = error.text() if isinstance(error, LgError) else str(error)
    print(fitting(f"lg-gateway: {visible(text)}", sys.stderr), file=sys.stderr)


def print_json(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> None:
    """Print a value as JSON in plain ASCII."""
    print(json.dumps(value, indent=indent, sort_keys=sort_keys).replace("\x7f", "\\u007f"))


def word(text: object, limit: int = WORD_WIDTH) -> str:
    """Return a name or path as it can stand in a line: as it is where it is plain, else quoted and cut."""
    return layout.word(text, limit)


def _safe(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(visible(line.removesuffix("\r"), keep="\t") for line in text.split("\n"))
