"""What nodes may use besides the state: one object, built by the driver, handed to every node."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio.to_thread

from lg_orch.errors import Interrupted, OutOfBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lg_orch.budgets import Budgets
    from lg_orch.bus import Bus
    from lg_orch.meter import Meter
    from lg_orch.models_io import PlannedCall, Problem, RepoContext, ToolEnvelope
    from lg_orch.results import ResultStore
    from lg_orch.seams import ActingMind, Mind
    from lg_orch.state import QueuedCall, RunState
    from lg_orch.tools import ToolInfo
    from lg_policy.config.settings import Settings
    from lg_policy.errors import LgError

T = TypeVar("T")


class Tools(Protocol):
    """The tools that the gateway offers."""

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """All of them, sorted by name."""
        ...

    def find(self, original: str) -> ToolInfo | None:
        """The built-in tool of that unqualified name, wherever the gateway lists it."""
        ...

    def named(self, name: str) -> ToolInfo | None:
        """The tool of that qualified name."""
        ...

    async def call(self, queued: QueuedCall, *, step: str, timeout_s: float, may_ask: bool = True) -> ToolEnvelope:
        """Make one call. Failures come back in the envelope; cancellation, interrupts and `GatewayGone` are raised."""
        ...


@dataclass(kw_only=True)
class Services:
    """Mutable only in what belongs to this process: why it stops."""

    run_id: str
    root_name: str
    root_id: str
    settings: Settings
    mind: Mind | ActingMind
    mind_name: str
    """How the report names who did the thinking."""
    tools: Tools
    results: ResultStore
    bus: Bus
    budgets: Budgets
    meter: Meter | None = None
    """Counts tokens and money when a language model does the thinking."""
    answers_itself: bool = False
    """Whether questions about our own tools are answered without a human (`--yes`)."""
    accepted_guide: str | None = None
    """SHA-256 of the `AGENTS.md` that the user accepted."""
    started: float = field(default_factory=time.monotonic)
    prior_s: float = 0.0
    """Seconds that earlier processes spent on this run."""
    waited_s: float = 0.0
    """Seconds that this process waited for people; the run's wall clock does not count them."""
    guidance: Sequence[str] = ()
    """What the user added with `resume --say`, oldest first."""
    notices: tuple[str, ...] = ()
    """What the program found when it went on with the run: for whoever thinks, and for the report."""
    clock: Callable[[], float] = time.monotonic
    broke_off: LgError | None = None
    """Why the mind could not be asked, after calls whose results are to be kept first; the next visit raises it."""
    stop_requested: bool = False
    asking: bool = False
    """Whether a person is being asked just now, so that there is no call whose end a stop could wait for."""

    def wall_s(self) -> float:
        """Age of the run in seconds, earlier processes included, waiting for people not."""
        return self.prior_s + self.clock() - self.started - self.waited_s

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        stop = self.budgets.wall_stop(self.wall_s())
        if stop is not None:
            raise OutOfBudget(stop, limit="max_wall_s")

    def mint(self, call: PlannedCall) -> QueuedCall:
        """Give a decided call its idempotency key; one through `mcp_execute` becomes the call that it carries."""
        from lg_orch.state import QueuedCall
        from lg_orch.tools import unwrapped

        tool, arguments = unwrapped(call.tool, call.input)
        if self.tools.named(tool) is not None:
            call = call.model_copy(update={"tool": tool, "input": arguments})
        return QueuedCall(call=call, key=f"{self.run_id}:{secrets.token_hex(8)}")

    def check_stop(self) -> None:
        """Raise `Interrupted` if a signal asked for it, and what the last visit could not go on for."""
        if self.stop_requested:
            raise Interrupted("the run was asked to stop")
        if self.broke_off is not None:
            raise self.broke_off

    def request(self, state: RunState) -> str:
        """The request with what came up since, for minds that can follow words."""
        from lg_orch.seams import ActingMind

        if not isinstance(self.mind, ActingMind):
            return state.request
        said = (f"Added by the user later: {text}" for text in self.guidance)
        found = (f"Found by the program: {text}." for text in self.notices)
        return "\n\n".join((state.request, *said, *found))

    def context(self, state: RunState) -> RepoContext:
        """The whole repository context. Raises `NotFound` before the context builder ran."""
        from lg_orch.models_io import RepoContext

        digest = state.repo_context.digest if state.repo_context else ""
        return self.results.get(digest, RepoContext)

    def whole_results(self, state: RunState) -> list[ToolEnvelope]:
        """The run's results so far, each whole. Raises `NotFound` when one is gone from disk."""
        return self.results.all_whole(state.tool_results)


def problem_of(error: LgError) -> Problem:
    """Why a mind did not decide, for the state."""
    from lg_orch.models_io import Problem

    return Problem(code=error.code, message=error.message, hint=error.hint)


async def think(function: Callable[..., T], *arguments: object) -> T:
    """Run a mind's method in a worker thread, so that signals and progress stay alive."""
    return await anyio.to_thread.run_sync(lambda: function(*arguments))
