"""Limits the records of repeated refusals: the first ones in a minute get a record each, the rest share one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lg_gateway.ledger.ledger import LedgerEntry
from lg_policy.errors import LimitExceeded

WINDOW_S = 60.0


@dataclass
class _Window:
    began: float
    seen: int = 0
    last: LedgerEntry | None = None
    """The newest refusal that got no record of its own."""
    unwritten: int = 0


class FloodSummary:
    """Counts by caller, tool, outcome and error code. Times are monotonic seconds: a clock that jumps changes nothing.

    All names that no tool has count as one tool, so that a caller cannot have a record for each name. Calls that a
    limit refused count as one tool too, because a limit may cover all tools.
    """

    def __init__(self) -> None:
        self._windows: dict[tuple[str | None, ...], _Window] = {}

    def admit(self, entry: LedgerEntry, *, limit: int, now: float) -> bool:
        """Return whether a refusal gets a record of its own; count it if not."""
        named = entry.server and entry.error_code != LimitExceeded.code
        kind = (entry.identity, entry.tool if named else "", entry.outcome, entry.error_code)
        window = self._windows.setdefault(kind, _Window(began=now))
        window.seen += 1
        if window.seen <= limit:
            return True
        window.last, window.unwritten = entry, window.unwritten + 1
        return False

    def drain(self, now: float, *, everything: bool = False) -> list[LedgerEntry]:
        """Return one record for each flood whose minute is over, or for all, and reset its count."""
        over = [key for key, window in self._windows.items() if everything or now - window.began >= WINDOW_S]
        windows = [self._windows.pop(key) for key in over]
        return [_summary(window.last, window.unwritten) for window in windows if window.last is not None]


def _summary(last: LedgerEntry, count: int) -> LedgerEntry:
    what = f"{count} more within a minute like those recorded before; this is the last: {last.detail or ''}"
    return replace(last, count=count, detail=what[:500])
