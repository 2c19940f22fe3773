"""What the service keeps of a run: one row, and what people said to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RunPhase = Literal[
    "queued", "running", "waiting", "done", "unchecked", "failed", "refused", "interrupted", "cancelled"
]  # fmt: skip
"""`queued`: waits for a worker. `waiting`: waits for a human. The others are those of a run's report."""
PHASES: tuple[RunPhase, ...] = (
    "queued", "running", "waiting", "done", "unchecked", "failed", "refused", "interrupted", "cancelled",
)  # fmt: skip
ENDED: frozenset[RunPhase] = frozenset({"done", "unchecked", "failed", "refused", "interrupted", "cancelled"})
"""Nothing goes on by itself after these."""
Work = Literal["drive", "undo"]


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run of the service. Times are seconds since the epoch."""

    run_id: str
    state: RunPhase
    request: str
    repository: str
    """An absolute path."""
    root: str
    """The directory that the run works on."""
    root_id: str
    """What only one run at a time may work on."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Model, limits and the like, as they were asked for."""
    created_by: str
    created: float
    updated: float
    priority: int = 0
    work: Work | None = None
    """What a worker shall do, or does."""
    not_before: float = 0.0
    owner: str | None = None
    """The worker that has it."""
    lease_until: float = 0.0
    epoch: int = 0
    """Counts the workers that had it: a write of an earlier one is refused."""
    attempts: int = 0
    """Workers that were lost with it since it last made progress."""
    stop: Literal["", "soon", "cancel"] = ""
    """What the worker is asked to do: stop between two calls, or end the run."""
    report: Mapping[str, Any] | None = None
    """The run's last report and what it cost."""
    undo: Mapping[str, Any] | None = None
    """How the last undo stands."""
    forked_from: str | None = None
    """The run and the step that it began from, as `RUN_ID:STEP`."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """What a run is created with."""

    run_id: str
    request: str
    repository: str
    root: str
    root_id: str
    created_by: str
    options: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    forked_from: str | None = None
    key: str | None = None
    """The caller's idempotency key."""
    digest: str = ""
    """SHA-256 of what was asked for under that key."""
    guidance: str | None = None
    """What a human says to it from the start."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a human said to a run, until a worker has written it into the run's journal."""

    id: str
    run_id: str
    kind: Literal["answer", "say", "resume"]
    body: Mapping[str, Any]
    by: str
    time: float


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which runs a list holds."""

    state: RunPhase | None = None
    repository: str | None = None
    text: str | None = None
    """Found anywhere in the request or the run's id, in any case."""
    before: tuple[float, str] | None = None
    """Creation time and id of the last run of the page before."""
