"""Names in the gateway's own frame of a question: as they are where they are plain, else quoted and cut. Pure."""

from __future__ import annotations

import re

from lg_policy.printing import quote

NAME_WIDTH = 50
"""Columns of a name in the frame: a server's, a caller's, a client's, a run's."""
_PLAIN = re.compile(r"[\w.:/@+~*%=-]+", re.ASCII)


def word(text: object, limit: int = NAME_WIDTH) -> str:
    """Return a name or path as it can stand in a line of ours: as it is where it is plain, else quoted and cut."""
    shown = str(text)
    return shown if len(shown) <= limit and _PLAIN.fullmatch(shown) else quote(shown, limit=limit)
