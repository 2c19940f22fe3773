"""Hyperlinks of a terminal (OSC 8) on the places that a report names, such as `src/calc.py:12`.

A link is made of a path below the repository's root and nothing else: what a reader sees is where the link goes. The
file is not looked at. A path that leaves the root, or that does not show as itself, gets no link.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE = re.compile(r"(?P<path>[^\s:\\{}<>|*?\"']{1,300}):(?P<line>[1-9]\d{0,7})(?:-\d{1,8})?")
_WITHOUT = ("dumb", "unknown", "linux", "ansi", "vt100", "vt220", "screen")
"""Terminals that show the characters of a link instead of the link, or nothing at all."""


def supports_links(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the terminal is one that may be sent links. `FORCE_HYPERLINK` decides, where it is set."""
    forced = environ.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced not in ("", "0", "false")
    return environ.get("TERM", "") not in ("", *_WITHOUT)


def link_to(place: str, root: Path | None) -> str | None:
    """Return the address of `path:line` below the root; `None` for any other text."""
    found = _PLACE.fullmatch(place) if root is not None else None
    if found is None or root is None:
        return None
    path = PurePosixPath(found["path"])
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return None
    whole = quote(f"{root.as_posix()}/{path}")
    return f"file://{quote(socket.gethostname())}{whole}#{found['line']}"
