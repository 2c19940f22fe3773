"""Names of servers: what fits before a tool's name, and how another client's name is made to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,30}(?<!_)")
FIT_LENGTH = 20
"""Characters of a name that was made fit: a tool's name has to fit beside it."""


def fit_name(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that fits before a tool's. Two names are never made the same."""
    if NAME.fullmatch(name) and name not in taken:
        return name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name[:200]).strip("-")
    if plain and len(plain) <= FIT_LENGTH and plain not in taken:
        return plain
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    start = plain[: FIT_LENGTH - 5].strip("-") or "server"
    made = (f"{start}-{mark[:length]}" for length in range(4, 15))
    return next((found for found in made if found not in taken), f"s-{mark[:28]}")
