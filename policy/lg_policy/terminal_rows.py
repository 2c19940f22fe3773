r"""Lays out a question in rows. Only the gateway writes at the left margin; all foreign text stands behind `|`.

    tool: "a__echo"
    why you are asked:
        a rule of the settings with a long name
    arguments:
    | text: "a line that is too long for the scre
    |>en goes on behind this sign"
    |! token: "a line that holds what looks like a secret"

A frame line is `label: value`. Where it does not fit, the value goes into rows of its own, which begin with spaces.
A text that was laid out once can be laid out again for another width: `relaid` joins what was wrapped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TextIO

from lg_policy.printing import display_width, hanging, wrap_foreign

WIDTH = 80
"""Columns of a text on a screen whose width is not known, such as a client's."""
FOREIGN, SECRET = "| ", "|! "
_INDENT = "    "
_FOREIGN_ROW = re.compile(r"\|(!?)([ >])(.*)", re.DOTALL)
_VALUE_ROW = re.compile(r"(?:    |   >)(.*)", re.DOTALL)


def foreign(text: str, *, secret: bool = False) -> str:
    """Return one logical line of somebody else's text, before it is laid out."""
    return f"{SECRET if secret else FOREIGN}{text}"


def laid_out(lines: Iterable[str], width: int = WIDTH) -> list[str]:
    """Return logical lines as rows of at most `width` columns."""
    rows: list[str] = []
    for line in lines:
        found = _FOREIGN_ROW.fullmatch(line)
        if found is not None:
            rows += wrap_foreign(found.group(3), width=width, margin=SECRET if found.group(1) else FOREIGN)
        elif display_width(line) <= width:
            rows.append(line)
        else:
            label, _, value = line.partition(": ")
            rows += [f"{label}:", *wrap_foreign(value, width=width, margin=_INDENT)] if value else hanging(line, width)
    return rows


def relaid(text: str, width: int) -> str:
    """Return a text that was laid out before as it has to be for this width."""
    return "\n".join(laid_out(_logical(text), width))


def rows_of(text: str, width: int) -> list[str]:
    """Return visible lines of ours, which may hold foreign words, as rows: none of those words begins a row."""
    rows: list[str] = []
    for line in text.split("\n"):
        found = _FOREIGN_ROW.fullmatch(line)
        if found is None or display_width(line) <= width:
            rows += hanging(line, width)
        else:
            first, *more = wrap_foreign(found.group(3), width=width, margin=f"|{found.group(1)} ")
            rows += [f"|{found.group(1)}{found.group(2)}{first[len(found.group(1)) + 2 :]}", *more]
    return rows


def columns_of(stream: TextIO | None) -> int | None:
    """Return how many columns the terminal of a stream has; `None` for none, and for one that does not say."""
    if stream is None or not stream.isatty():  # a stream that was closed before the start is none
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def fitting(text: str, stream: TextIO | None) -> str:
    """Return visible text as it is to be printed to a stream: on a terminal as rows that fit it."""
    columns = columns_of(stream)
    return text if columns is None else "\n".join(rows_of(text, columns))


def _logical(text: str) -> list[str]:
    """Undo the wrapping of rows."""
    lines: list[str] = []
    for row in text.split("\n"):
        found, value = _FOREIGN_ROW.fullmatch(row), _VALUE_ROW.fullmatch(row)
        if found is not None and found.group(2) == ">" and lines:
            lines[-1] += found.group(3)
        elif found is not None:
            lines.append(foreign(found.group(3), secret=bool(found.group(1))))
        elif value is not None and lines:
            lines[-1] += (" " if row.startswith(_INDENT) else "") + value.group(1)
        else:
            lines.append(row)
    return lines
