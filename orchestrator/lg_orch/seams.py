"""The one seam between the graph and whoever thinks: the built-in analyst, a language model, a script in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.models_io import Answer, Plan, PlannedCall, RepoContext, Route, ToolEnvelope, VerifierReport
    from lg_orch.tools import ToolInfo


class Mind(Protocol):
    """Decides; never acts. The graph makes the calls, counts them, and hands back what they returned.

    Each method is called in a worker thread and may take its time, but must not touch files, processes or the network
    of the repository. A run may be resumed by another process: a mind keeps nothing between calls, all it needs is in
    its arguments. Budgets belong to the graph: calls beyond `max_tool_calls_per_loop` are carried into the next
    loop while `max_loops` allows, then dropped with a note in the report; so name the most useful calls first.
    """

    def route(self, request: str) -> Route:
        """What kind of request this is."""
        ...

    def plan(self, request: str, route: Route, context: RepoContext, tools: Sequence[str]) -> Plan:
        """The first calls to make; `tools` are the qualified names found at the gateway."""
        ...

    def next_calls(
        self, request: str, plan: Plan, context: RepoContext, results: Sequence[ToolEnvelope]
    ) -> Sequence[PlannedCall]:
        """Further read-only calls that follow from the results so far (all of them, in order); empty when done.

        Asked whenever no call is pending. A call whose id was already answered is not made again.
        """
        ...

    def answer(
        self,
        request: str,
        plan: Plan,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport | None,
    ) -> Answer:
        """The answer, from the context and what the calls returned and nothing else.

        `verification` is null when no check was run.
        """
        ...


class Desk(Protocol):
    """What the graph lends to a mind that asks a language model; made for one run in one process."""

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """The tools found at the gateway."""
        ...

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        ...

    def reply_room(self, prompt_chars: int) -> int:
        """Tokens that the next reply may have. Raises `LimitExceeded` when the request may not be made."""
        ...

    def record(self, name: str, phase: str, data: Mapping[str, Any], tokens: int = 0) -> None:
        """Journal a request to a model or its end, and count what it used; from the event loop's thread only."""
        ...

    def mask(self, text: str) -> str:
        """Hide known secrets."""
        ...


@runtime_checkable
class ActingMind(Mind, Protocol):
    """A mind that may change things: its `next_calls` may name any tool, and the same call again.

    It hears of a call that failed, of an unknown tool and of a denied approval by the result. Raises `ThinkingFailed`
    when it cannot decide; the run then ends with what it has. Each method is called in a worker thread that may run
    coroutines on the event loop by `anyio.from_thread`.
    """

    def attach(self, desk: Desk) -> None:
        """Take what this run lends; called once, before any other method."""
        ...

    def replan(
        self,
        request: str,
        route: Route,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport,
    ) -> Plan:
        """Another plan, after checks of the one before did not pass; `results` has their output."""
        ...
