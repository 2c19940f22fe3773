"""The one seam between the graph and whoever thinks: the built-in analyst, a language model, a script in a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.bounds import Bound
    from lg_orch.meter import Used
    from lg_orch.models_io import (
        Answer,
        Plan,
        PlannedCall,
        Repair,
        RepoContext,
        Review,
        Route,
        ToolEnvelope,
        Turn,
        VerifierReport,
    )
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
    """What the graph lends to a mind that asks a language model; made for one run in one process.

    To be used from the event loop's thread only.
    """

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """The tools found at the gateway."""
        ...

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        ...

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        ...

    def bound(self, model: str) -> Bound:
        """What this run knows of a model's counting."""
        ...

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        """Tokens, at most `wanted`, that the reply to a prompt of at most `most_prompt` may have.

        Raises `OutOfBudget` when the request may not be made: tokens, money or wall clock are used up.
        """
        ...

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        """US dollars that a request can cost at most; `None` when the model has no price."""
        ...

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        """Journal a request to a model."""
        ...

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        """Journal the end of a request and count what it used."""
        ...

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        """Show what comes in, without keeping it."""
        ...

    def mask(self, text: str) -> str:
        """Hide known secrets."""
        ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that is known when a mind that acts is asked; it keeps nothing itself, so that any process can go on."""

    request: str
    route: Route
    context: RepoContext
    plan: Plan | None = None
    results: Sequence[ToolEnvelope] = ()
    """Whole, in order; those of checks and of the baseline too."""
    baseline: VerifierReport | None = None
    """How the checks ended before anything was changed."""
    verification: VerifierReport | None = None
    reflections: Sequence[str] = ()
    """What was learnt from attempts that did not work, oldest first."""
    contradiction: str = ""
    """Why the plan no longer fits what was found."""


@runtime_checkable
class ActingMind(Protocol):
    """A mind that may change things: its calls may name any tool, and the same call again.

    It hears of a call that failed, of an unknown tool and of a denied approval by the result. Raises `ThinkingFailed`
    when it cannot decide; the run then ends with what it has. Raises `ModelGone` and `OutOfBudget` when nobody could be
    asked; the run then breaks off and can go on. Each method is called in a worker thread that may run
    coroutines on the event loop by `anyio.from_thread`.
    """

    def attach(self, desk: Desk) -> None:
        """Take what this run lends; called once, before any other method."""
        ...

    def route(self, request: str) -> Route:
        """What kind of request this is."""
        ...

    def draft(self, work: Work) -> Plan:
        """The plan to begin with. Checks that it does not name are found in the project's own files."""
        ...

    def replan(self, work: Work) -> Repair:
        """Another plan, and what was learnt, after checks did not pass or the plan was contradicted."""
        ...

    def act(self, work: Work) -> Turn:
        """The calls of the next turn, or the closing words, or that the plan does not fit."""
        ...

    def review(self, work: Work) -> Review | None:
        """What the change lacks although its checks passed; `None` when there is nothing to compare it with."""
        ...
