"""Events and the exported run trace (`schemas/run_trace.schema.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from lg_orch.contracts.base import Strict
from lg_orch.contracts.envelopes import ToolEnvelope
from lg_orch.contracts.plans import Plan
from lg_orch.contracts.reports import VerifierReport
from lg_orch.contracts.state import Final, Status

Kind = Literal["node", "thought", "tool", "approval", "verify", "model", "error"]


class Event(Strict):
    """One thing that happened; a line of the journal."""

    seq: int
    """Counts the journal's lines from 1; progress, which is not kept, repeats the last one."""
    time: str
    """UTC, ISO 8601 with milliseconds."""
    kind: Kind
    name: str
    phase: str
    """begin, end, note, progress, retry."""
    data: dict[str, Any] = Field(default_factory=dict)


HOLDS: Mapping[tuple[Kind, str], tuple[str, ...]] = {
    ("tool", "begin"): ("call_id", "step", "input", "why", "idempotency_key"),
    ("tool", "end"): ("call_id", "result"),
    ("tool", "retry"): ("call_id", "pause_s", "error"),
    ("approval", "begin"): ("key", "kind", "tool", "message", "call_id"),
    ("approval", "end"): ("key", "decision", "by", "reason"),
    ("verify", "end"): ("name", "ok", "tool", "exit_code", "summary"),
    ("verify", "baseline"): ("name", "ok", "tool", "exit_code", "summary"),
    ("model", "begin"): (
        "role",
        "prompt",
        "request",
        "prompt_tokens_estimate",
        "prompt_tokens_most",
        "max_reply_tokens",
    ),
    ("model", "end"): ("role", "latency_ms", "prompt_tokens", "completion_tokens", "total_tokens", "cost_usd"),
    ("model", "failed"): ("role", "error", "latency_ms", "falls_back"),
    ("model", "retry"): ("role", "error", "latency_ms", "pause_s"),
    ("error", "note"): ("text",),
}
"""What the data of an event has at least, by kind and phase; part of the published schema."""


class TracedCall(Strict):
    """One tool call of the run; large parts are named by digest."""

    call_id: str
    step: str
    """The node that made it."""
    idempotency_key: str
    started: str
    result: ToolEnvelope | None
    """Null when the run ended before the call did."""


class Usage(Strict):
    """What the run cost."""

    tool_calls: int = 0
    loops: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    wall_s: float = 0.0
    """Seconds that processes spent on it; the time between them does not count."""
    requests: int = 0
    """Requests to language models."""
    model_s: float = 0.0
    tools_s: float = 0.0
    """Seconds of all tool calls, added up; some run side by side."""
    waited_s: float = 0.0
    """Seconds that its processes waited for people."""

    def summary(self) -> str:
        """Return one line for a person."""
        parts = [f"{self.wall_s:.1f} s"]
        if self.requests:
            money = f", ${self.cost_usd:.4f}" if self.cost_usd else ""
            parts.append(
                f"model {self.model_s:.1f} s in {_count(self.requests, 'request')}, {self.tokens:,} tokens{money}"
            )
        loops = f" in {_count(self.loops, 'loop')}" if self.loops else ""
        parts.append(f"tools {self.tools_s:.1f} s in {_count(self.tool_calls, 'call')}{loops}")
        if self.waited_s >= 0.05:
            parts.append(f"waited {self.waited_s:.1f} s for people")
        return "; ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


class RunTrace(Strict):
    """The whole run, made from its journal alone."""

    schema_version: Literal["1.0"] = "1.0"
    run_id: str
    request: str
    profile: str
    versions: dict[str, str]
    graph: str
    """Mermaid; empty when the run ended before its graph was built."""
    root: dict[str, str | None]
    """`id` and `name` of the repository, `revision` (the commit) and `tree` (the digest of its files as the tools saw
    them when the run began, what was not committed included; `lg_fs.tree.tree_digest` defines it)."""
    events: tuple[Event, ...]
    tool_calls: tuple[TracedCall, ...]
    plans: tuple[Plan, ...]
    verification: VerifierReport | None
    patches: tuple[dict[str, Any], ...]
    usage: Usage
    final: Final | None
    status: Status
