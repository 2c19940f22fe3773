"""Holds everything that a run needs before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lg_orch.runs.history import Prior

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lg_orch.engine.signals import StopRequests
    from lg_orch.human.approvals import Approver, HumanAnswer
    from lg_orch.llm.choice import ChosenBackend
    from lg_orch.recording.event_bus import EventBus
    from lg_orch.runs.checkpoint import SaverFence
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.tools.connection import Connection
    from lg_policy.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """All that a run needs to know before it begins."""

    request: str
    run: RunDir
    root: Path
    root_id: str
    allow_broad: bool
    state_dir: Path
    settings: Settings
    chosen: ChosenBackend
    bus: EventBus
    environ: Mapping[str, str]
    say: Callable[[str], None]
    flags: Approver
    """Answers what the command's flags answer."""
    person: Approver
    """Answers the rest, if somebody is here."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What the run's record holds besides: sources of the settings, options for a later resume."""
    store_url: str = "sqlite"
    """`store.url` with its variables filled in."""
    resumed: bool = False
    """Whether an earlier process began it."""
    prior: Prior = field(default_factory=Prior)
    """What earlier processes did for it."""
    if_lost: tuple[str, HumanAnswer] | None = None
    """A call, and what the user says of it should its outcome have been lost."""
    accepted_guide: str | None = None
    """SHA-256 of the `AGENTS.md` that the user accepted."""
    stop: StopRequests | None = None
    """Who may stop it, where that is not signals."""
    fence: SaverFence | None = None
    """Checks that the run is still this process's before each checkpoint, where others may take it over."""
    keep: Callable[[str, bytes], None] | None = None
    """Keeps each result in a place that other workers reach too."""
    plan_only: bool = False
    """Whether it stops once it has a plan."""
    edited_plan: tuple[str, ...] | None = None
    """The steps of its plan, as the user changed them."""
    connection: Connection | None = None
    """To a gateway that outlives the run; otherwise the run has its own."""
    gateway_url: str | None = None
    gateway_token: str | None = None
    begun: float = field(default_factory=time.monotonic)
