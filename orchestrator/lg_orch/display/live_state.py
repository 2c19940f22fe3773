"""What a run is doing now, in one line: its step, its tool or model, the time, tokens and money so far.

Made of events alone, so that a live view, a conversation's toolbar and a test read the same. What others wrote is made
visible and cut to one line.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lg_orch.contracts.text import many, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.contracts.events import Event

STEPS = {
    "ingest": "reading the request",
    "policy_gate": "looking at the tools",
    "context_builder": "looking at the repository",
    "router": "understanding the request",
    "planner": "planning",
    "executor": "working",
    "verifier": "checking",
    "reporter": "writing the report",
}
"""What a reader calls the nodes of the graph."""
TAIL = 90
"""Characters of a reply that is coming in."""


class LiveState:
    """Follows the events of one run in this process. `begun` is when it began, by `clock`."""

    def __init__(self, begun: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._begun = begun
        self._clock = clock
        self._step = "starting"
        self._doing: dict[str, str] = {}
        self.calls = 0
        self.tokens = 0
        self.usd = 0.0

    def take(self, event: Event, line: str | None) -> None:
        """Follow one event; `line` is how it reads."""
        if event.kind == "node" and event.phase == "begin":
            self._step = STEPS.get(event.name, self._step)
        elif event.kind == "model":
            self._take_model(event)
        elif event.kind == "tool":
            self._take_call(event, line)

    def _take_model(self, event: Event) -> None:
        key = f"model {event.name}"
        if event.phase == "begin":
            self._doing[key] = f"asking {event.name}"
        elif event.phase == "progress":
            self._doing[key] = str(event.data.get("text", ""))[-TAIL:]
        elif event.phase in ("end", "failed", "retry"):
            self._doing.pop(key, None)
            self.tokens += int(event.data.get("total_tokens") or 0)
            self.usd += float(event.data.get("cost_usd") or 0.0)

    def _take_call(self, event: Event, line: str | None) -> None:
        key = str(event.data.get("call_id") or event.name)
        if event.phase == "begin":
            self._doing[key] = (line or event.name).removeprefix("call").strip()
        elif event.phase == "progress" and line:
            known = next((name for name in self._doing if name == key), None)
            self._doing[known or event.name] = line.strip()
        elif event.phase == "end":
            self._doing.pop(key, None)
            self._doing.pop(event.name, None)
            self.calls += 1

    def rows(self, width: int) -> list[str]:
        """Return the block's rows: what is done now, and what it took so far. Each fits into `width` columns."""
        last = next(reversed(self._doing.values()), "")
        now = f"{self._step}: {last}" if last else self._step
        others = len(self._doing) - 1
        if others > 0:
            now = f"{self._step} ({others} more at once): {last}"
        return [one_line(now, width), one_line(self.used(), width)]

    def used(self) -> str:
        """Return the time, calls, tokens and money so far."""
        parts = [_duration(self._clock() - self._begun), many(self.calls, "call")]
        if self.tokens:
            parts.append(f"{self.tokens:,} tokens")
        if self.usd:
            parts.append(f"${self.usd:.4f}")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
