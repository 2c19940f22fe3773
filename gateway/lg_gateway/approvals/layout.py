r"""Lays out a question in rows. Only the gateway writes at the left margin; all foreign text stands behind `|`. Pure.

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

import re
from collections.abc import Iterable

from lg_policy.printing import display_width, quote, wrap_foreign

NAME_WIDTH = 50
"""Columns of a name in the frame: a server's, a caller's, a client's, a run's."""
WIDTH = 80
"""Columns of a question on a screen whose width the gateway does not know: that of a client."""
FOREIGN, SECRET = "| ", "|! "
_PLAIN = re.compile(r"[\w.:/@+~*%=-]+", re.ASCII)
_INDENT = "    "
_FOREIGN_ROW = re.compile(r"\|(!?)([ >])(.*)", re.DOTALL)
_VALUE_ROW = re.compile(r"(?:    |   >)(.*)", re.DOTALL)


def foreign(text: str, *, secret: bool = False) -> str:
    """Return one logical line of somebody else's text, before it is laid out."""
    return f"{SECRET if secret else FOREIGN}{text}"


def word(text: object, limit: int = NAME_WIDTH) -> str:
    """Return a name or path as it can stand in a line of ours: as it is where it is plain, else quoted and cut."""
    shown = str(text)
    return shown if len(shown) <= limit and _PLAIN.fullmatch(shown) else quote(shown, limit=limit)


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
            rows += [f"{label}:", *wrap_foreign(value, width=width, margin=_INDENT)] if value else [line]
    return rows


def relaid(text: str, width: int) -> str:
    """Return a text that was laid out before as it has to be for this width."""
    return "\n".join(laid_out(_logical(text), width))


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
