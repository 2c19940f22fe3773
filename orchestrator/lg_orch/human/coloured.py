r"""Colours the diff in a question, for a terminal. The text stays what it is: only escapes of ours stand around rows.

The gateway lays a question out with all foreign text behind a margin, `| `, or `|>` for a row that goes on, and with
what does not show spelled out, so no escape in it can be somebody else's. A diff is what follows a row `| @@`, up to
the end of its block: a list with dashes is no diff.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

MARGIN, SECRET = "| ", "|!"
_END = "\x1b[0m"
_STYLES = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


def shows_colour(target: TextIO) -> bool:
    """Tell whether a stream is a terminal whose owner wants colours."""
    plain = os.environ.get("TERM") in (None, "", "dumb", "unknown") or bool(os.environ.get("NO_COLOR"))
    return target.isatty() and not plain


def coloured(message: str) -> str:
    """Return a question with its diffs coloured."""
    return "\n".join(_rows(message.split("\n")))


def _rows(rows: list[str]) -> Iterator[str]:
    inside, style = False, ""
    for row in rows:
        margin, text = row[: len(MARGIN)], row[len(MARGIN) :]
        if not margin.startswith("|"):
            inside, style = False, ""
        elif margin == SECRET:
            style = ""
        elif margin == MARGIN:
            inside = inside or text.startswith("@@")
            style = _STYLES.get(text[:1], "") if inside else ""
        yield f"{margin}{style}{text}{_END}" if style and text else row
