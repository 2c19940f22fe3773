"""Holds what changes while a process drives a run: its clock, why it stops, whether a person is being asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import Interrupted
from lg_orch.contracts.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_policy.errors import LgError


@dataclass(kw_only=True)
class RunControl:
    """The state of this process's part of the run. Only the event loop's thread changes it."""

    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    prior_s: float = 0.0
    """Seconds that earlier processes spent on this run."""
    waited_s: float = 0.0
    """Seconds that this process waited for people; the run's wall clock does not count them."""
    notices: tuple[str, ...] = ()
    """What the program found when it resumed the run: for the backend, and for the report."""
    remarks: tuple[Remark, ...] = ()
    """What a model is told besides the request, oldest first; a new one is told with the next request."""
    heard: int = 0
    """How many of these the backend was given."""
    broke_off: LgError | None = None
    """Why the backend could not be asked. The results of earlier calls are kept first; the next visit raises it."""
    stop_requested: bool = False
    asking: bool = False
    """Whether a person is being asked now. Then no call is running that a stop would wait for."""

    def wall_s(self) -> float:
        """Return the age of the run in seconds, over all its processes, without the time spent waiting for people."""
        return self.prior_s + self.clock() - self.started - self.waited_s

    def check_stop(self) -> None:
        """Raise `Interrupted` if a signal asked for it, and the error that the last visit kept."""
        if self.stop_requested:
            raise Interrupted("the run was asked to stop")
        if self.broke_off is not None:
            raise self.broke_off
