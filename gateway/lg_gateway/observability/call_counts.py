"""Counts the calls of this process: by server, tool, outcome and decision, and how long servers took.

This is kept by every gateway, so it does little for a call: a few entries of dictionaries. A tool counts under its own
name only while the catalogue has it; callers' and servers' texts never become a key without a limit.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field

from lg_gateway.calls.call import CallContext
from lg_gateway.ledger.ledger import LedgerEntry
from lg_policy.errors import PolicyDenied

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
"""Upper bounds of the histogram's buckets, in seconds: those of OpenTelemetry for MCP, and three finer ones."""
MOST_TOOLS = 2_000
"""Tools that are counted apart. All further ones count as `OTHER`."""
OTHER = "other"
"""A tool that is not in the catalogue, or its server."""
NO_DECISION = "none"
FAILED = ("error", "unknown")
TOOL_ERROR = "tool_error"
"""The code of a failure that the tool itself reported, as OpenTelemetry calls it."""


@dataclass(slots=True)
class Histogram:
    """How many durations fell into each bucket; the last one has no upper bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total_s += seconds

    def quantile(self, share: float) -> float | None:
        """Return about how many seconds this share of all took, at most; `None` without any."""
        return quantile(self.counts, share)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The newest call of a server that failed: what, when and how, without any text of the server."""

    tool: str
    code: str
    at: float


class CallCounts:
    """The counts. `ended` is called once at the end of each call, refused ones included."""

    def __init__(self) -> None:
        self.began = time.time()
        self.calls: dict[tuple[str, str, str, str], int] = {}
        """By server, tool, outcome and decision."""
        self.refusals: dict[tuple[str, str], int] = {}
        """By server and error code."""
        self.durations: dict[tuple[str, str], Histogram] = {}
        """By server and tool, of calls that were sent: without the time that a human took before."""
        self.failures: dict[str, Failure] = {}
        """By server."""
        self.failed_logins = 0

    def ended(self, context: CallContext | None, entry: LedgerEntry) -> None:
        """Count a call. Without a context, its tool was not found."""
        if context is None:
            tool = server = OTHER
        else:
            server, tool = context.entry.server.name, context.entry.name
            if (server, tool) not in self.durations:
                server, tool = self._new(server, tool)
        outcome = entry.outcome or OTHER
        decision = entry.effect or ("deny" if entry.error_code == PolicyDenied.code else NO_DECISION)
        key = (server, tool, outcome, decision)
        self.calls[key] = self.calls.get(key, 0) + 1
        if outcome == "refused":
            refusal = (server, entry.error_code or OTHER)
            self.refusals[refusal] = self.refusals.get(refusal, 0) + 1
        elif outcome in FAILED:
            self.failures[server] = Failure(tool=tool, code=entry.error_code or TOOL_ERROR, at=time.time())
        if context is not None and context.sent is not None and outcome != "asked":
            self.durations[server, tool].add(time.monotonic() - context.sent)

    def _new(self, server: str, tool: str) -> tuple[str, str]:
        if len(self.durations) >= MOST_TOOLS:
            server = tool = OTHER
        self.durations.setdefault((server, tool), Histogram())
        return server, tool

    def of_server(self, server: str) -> dict[str, int]:
        """Return how many calls of a server came to each outcome."""
        found: dict[str, int] = {}
        for (name, _tool, outcome, _decision), count in tuple(self.calls.items()):
            if name == server:
                found[outcome] = found.get(outcome, 0) + count
        return found

    def quantiles(self, server: str, *shares: float) -> list[float | None]:
        """Return about how many seconds the calls of a server took."""
        counts = [0] * (len(BOUNDS) + 1)
        for (name, _tool), histogram in tuple(self.durations.items()):
            if name == server:
                counts = [sum(pair) for pair in zip(counts, histogram.counts, strict=True)]
        return [quantile(counts, share) for share in shares]


def quantile(counts: list[int], share: float) -> float | None:
    """Return the value below which this share of a histogram lies, taken as even within a bucket."""
    wanted, seen = share * sum(counts), 0
    if not wanted:
        return None
    for number, count in enumerate(counts):
        if seen + count >= wanted:
            if number == len(BOUNDS):
                return float(BOUNDS[-1])
            low = BOUNDS[number - 1] if number else 0.0
            return low + (BOUNDS[number] - low) * (wanted - seen) / count
        seen += count
    return float(BOUNDS[-1])
