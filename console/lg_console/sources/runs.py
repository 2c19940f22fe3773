"""Runs of the orchestrator: what they were asked, how they stand, and what happened in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

STATES = ("queued", "running", "waiting", "done", "unchecked", "failed", "refused", "interrupted", "cancelled")
GOING_ON = frozenset({"queued", "running", "waiting"})
"""States in which a run is not over."""


@dataclass(frozen=True, kw_only=True)
class RunsWanted:
    """Which runs to list; "" is any. `after` is where the page before ended."""

    state: str = ""
    repository: str = ""
    text: str = ""
    after: str = ""

    def query(self) -> dict[str, str]:
        """Return what of it stands in an address."""
        named = {"state": self.state, "repository": self.repository, "text": self.text}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run in a list. Times are seconds since the epoch."""

    run_id: str
    state: str
    request: str
    repository: str
    created_by: str
    created: float
    updated: float
    epoch: int = 0
    stopping: bool = False
    model: str = ""
    report: str = ""
    tokens: int = 0
    cost_usd: float = 0.0
    wall_s: float = 0.0
    finished: bool = False
    undo: str = ""
    """How the last undo stands, in words."""
    forked_from: str = ""


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Runs, newest first, and where to go on."""

    runs: tuple[RunSummary, ...]
    older: str = ""


@dataclass(frozen=True, kw_only=True)
class RunQuestion:
    """What a run waits for. `decisions` are the words that answer it."""

    key: str
    kind: str
    tool: str
    message: str
    decisions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunArtifact:
    """A file of a run."""

    name: str
    what: str


@dataclass(frozen=True, kw_only=True)
class WholeRun:
    """All of one run. `events` are those of its journal, in order; `steps` the numbers that it can be forked at."""

    summary: RunSummary
    events: Sequence[Mapping[str, Any]] = ()
    questions: tuple[RunQuestion, ...] = ()
    artifacts: tuple[RunArtifact, ...] = ()
    patch: str = ""
    steps: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UndoShown:
    """What an undo would do."""

    diff: str
    uncovered: tuple[str, ...] = ()
    change_sets: tuple[str, ...] = ()
    """What is reverted: an undo of anything else is refused."""


class RunsSource(Protocol):
    """Reads runs. What changes them are requests to `/v1/runs`, which their program serves itself."""

    async def page(self, wanted: RunsWanted) -> RunPage:
        """Return one page. Raises `InvalidArguments` for a filter that cannot be read."""
        ...

    async def run(self, run_id: str) -> WholeRun:
        """Return one run. Raises `NotFound`."""
        ...

    async def undo(self, run_id: str) -> UndoShown:
        """Return what an undo of a run would do. Raises `NotFound`, `Conflict`."""
        ...

    async def mark(self) -> str:
        """Return a text that is another one as soon as a run has come or changed."""
        ...

    async def run_mark(self, run_id: str) -> str:
        """Return a text that is another one as soon as something has happened in one run."""
        ...
