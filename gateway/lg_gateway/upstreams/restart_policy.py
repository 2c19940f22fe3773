"""How long to wait before a server that ended is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses between restarts: `first_s`, doubled each time, at most `longest_s`."""

    first_s: float
    longest_s: float

    def pause(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row."""
        return float(min(self.first_s * 2 ** max(0, failures - 1), self.longest_s))
