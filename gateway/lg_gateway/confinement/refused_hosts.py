"""Remembers which hosts a confined program asked for and did not get, so that `doctor` can show them later."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

MOST = 50
"""Hosts that are remembered by name; of the others only the number."""
FILE_BYTES = 64_000


@dataclass
class RefusedHosts:
    """`HOST:PORT` with the number of times. `path` is a file that outlives this process."""

    path: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    others: int = 0

    def add(self, target: str) -> bool:
        """Count a refusal; return whether it is the first of its target."""
        first = target not in self.counts
        if first and len(self.counts) >= MOST:
            self.others += 1
            return False
        self.counts[target] = self.counts.get(target, 0) + 1
        if first and self.path is not None:
            with contextlib.suppress(OSError):
                _keep(self.path, target)
        return first


def kept_refusals(path: str) -> list[str]:
    """Return the hosts that a file remembers, in order."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return list(dict.fromkeys(file.read(FILE_BYTES).splitlines()))[:MOST]
    except OSError:
        return []


def forget_allowed(path: str, refused: Iterable[str]) -> None:
    """Keep only these hosts in the file."""
    with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{target}\n" for target in refused)


def _keep(path: str, target: str) -> None:
    known = kept_refusals(path)
    if target in known or len(known) >= MOST:
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{target}\n")
