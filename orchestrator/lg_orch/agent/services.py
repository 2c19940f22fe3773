"""Holds what nodes may use besides the state: one object, built by the driver, passed to every node."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio.to_thread

from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.run_control import RunControl
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.repository import RepoContext
from lg_orch.contracts.state import QueuedCall
from lg_orch.tools.tool_info import unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lg_orch.agent.budgets import Budgets
    from lg_orch.agent.calls_beside import CallsBeside
    from lg_orch.agent.interfaces import Backend, ModelSpending
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.state import RunState
    from lg_orch.recording.event_bus import EventBus
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.tools.tool_info import ToolInfo
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
        """Return the built-in tool of that unqualified name, wherever the gateway lists it."""
        ...

    def named(self, name: str) -> ToolInfo | None:
        """Return the tool of that qualified name."""
        ...

    async def call(self, queued: QueuedCall, *, step: str, timeout_s: float, may_ask: bool = True) -> ToolEnvelope:
        """Make one call. Failures come back in the envelope; cancellation, interrupts and `GatewayGone` are raised."""
        ...

    def asks_ahead(self, tool: str) -> bool:
        """Tell whether the questions about calls of this tool may be put before the calls are made."""
        ...

    async def ask_together(self, calls: Sequence[QueuedCall], *, step: str, timeout_s: float) -> None:
        """Put the questions about several calls together, and make none of the calls. Interrupts are raised."""
        ...

    async def drop_questions(self, calls: Sequence[QueuedCall], *, step: str, timeout_s: float) -> None:
        """Answer the questions about calls that will not be made after all."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything that the nodes of a run may use. Only `control` changes."""

    run_id: str
    root_name: str
    root_id: str
    settings: Settings
    backend: Backend | ActingBackend
    backend_name: str
    """The report's name for the decision-maker."""
    tools: Tools
    results: ResultStore
    bus: EventBus
    budgets: Budgets
    control: RunControl = field(default_factory=RunControl)
    spending: ModelSpending | None = None
    """Counts tokens and money when a language model decides."""
    model_hint: str = ""
    """How a user chooses a language model, for a request that needs one."""
    answers_itself: bool = False
    """Whether questions about our own tools are answered without a human (`--yes`)."""
    accepted_guide: str | None = None
    """SHA-256 of the `AGENTS.md` that the user accepted."""
    plan_only: bool = False
    """Whether the user wants to see a plan before anything is done, however small the request is."""
    beside: CallsBeside | None = None
    """Makes calls in the background; without it the baseline runs before the first request."""
    asked_early: CallsBeside | None = None
    """What the model was asked while the gateway started."""
    earlier_calls: int = 0
    """Calls that earlier runs of the conversation made; the numbers of results go on from there."""

    def wall_s(self) -> float:
        """Return the age of the run in seconds, over all its processes, without the time spent waiting for people."""
        return self.control.wall_s()

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        self.budgets.check_wall(self.wall_s())

    def mint(self, call: PlannedCall) -> QueuedCall:
        """Give a decided call its idempotency key; one through `mcp_execute` becomes the call that it carries."""
        tool, arguments = unwrapped(call.tool, call.input)
        if self.tools.named(tool) is not None:
            call = call.model_copy(update={"tool": tool, "input": arguments})
        return QueuedCall(call=call, key=f"{self.run_id}:{secrets.token_hex(8)}")

    def request(self, state: RunState) -> str:
        """Return the request with what came up since, for backends that can follow words."""
        if not isinstance(self.backend, ActingBackend):
            return state.request
        return "\n\n".join((state.request, *(remark.text for remark in self.control.remarks)))

    def context(self, state: RunState) -> RepoContext:
        """Return the whole repository context. Raises `NotFound` before the context builder ran."""
        digest = state.repo_context.digest if state.repo_context else ""
        return self.results.get(digest, RepoContext)

    def whole_results(self, state: RunState) -> list[ToolEnvelope]:
        """Return the run's results so far, each whole. Raises `NotFound` when one is gone from disk."""
        return self.results.all_whole(state.tool_results)


def problem_of(error: LgError) -> Problem:
    """Return why a backend did not decide, for the state."""
    return Problem(code=error.code, message=error.message, hint=error.hint)


async def think(function: Callable[..., T], *arguments: object) -> T:
    """Run a backend's method in a worker thread, so that signals and progress stay alive."""
    return await anyio.to_thread.run_sync(function, *arguments)
