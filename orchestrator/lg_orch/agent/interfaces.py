"""The interface between the graph and its decision-maker: the built-in analyst, a language model or a test script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.plans import Plan, PlannedCall, Repair, Review, Route, Turn
    from lg_orch.contracts.remarks import Remark
    from lg_orch.contracts.reports import Answer, VerifierReport
    from lg_orch.contracts.repository import RepoContext


class Backend(Protocol):
    """Decides; never acts. The graph makes the calls, counts them, and hands back what they returned.

    Each method is called in a worker thread and may take its time, but must not touch files, processes or the network
    of the repository. A run may be resumed by another process: a backend keeps nothing between calls, all it needs
    is in its arguments. Budgets belong to the graph: calls beyond `max_tool_calls_per_loop` are carried into the next
    loop while `max_loops` allows, then dropped with a note in the report; so name the most useful calls first.
    """

    def route(self, request: str) -> Route:
        """Return what kind of request this is."""
        ...

    def plan(self, request: str, route: Route, context: RepoContext, tools: Sequence[str]) -> Plan:
        """Return the first calls to make; `tools` are the qualified names found at the gateway."""
        ...

    def next_calls(
        self, request: str, plan: Plan, context: RepoContext, results: Sequence[ToolEnvelope]
    ) -> Sequence[PlannedCall]:
        """Return further read-only calls that follow from all results so far, in order; empty when done.

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
        """Return the answer, from the context and what the calls returned and nothing else.

        `verification` is null when no check was run.
        """
        ...


class ModelSpending(Protocol):
    """What the run's requests to language models used so far."""

    @property
    def tokens(self) -> int:
        """Tokens of all requests."""
        ...

    @property
    def usd(self) -> float:
        """US dollars, as far as prices are known."""
        ...

    @property
    def unpriced(self) -> Collection[str]:
        """Models that were asked and have no price."""
        ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything a backend that acts is given. It stores nothing itself, so that any process can continue."""

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
    remarks: Sequence[Remark] = ()
    """What was said and found since the request, oldest first; `request` does not have it."""
    contradiction: str = ""
    """Why the plan no longer fits what was found."""


@runtime_checkable
class ActingBackend(Protocol):
    """A backend that may change things: its calls may name any tool, and the same call again.

    The results tell it of a failed call, an unknown tool or a denied approval. It raises `ThinkingFailed` when it
    cannot decide: the run then ends with what it has. It raises `ModelGone` and `OutOfBudget` when no model could be
    asked: the run then breaks off and can be resumed. Each method is called in a worker thread that may run coroutines
    on the event loop by `anyio.from_thread`.
    """

    def route(self, request: str) -> Route:
        """Return what kind of request this is."""
        ...

    def draft(self, work: Work) -> Plan:
        """Return the plan to begin with. Checks that it does not name are found in the project's own files."""
        ...

    def replan(self, work: Work) -> Repair:
        """Return another plan, and what was learnt, after checks did not pass or the plan was contradicted."""
        ...

    def act(self, work: Work) -> Turn:
        """Return the calls of the next turn, or the closing words, or that the plan does not fit."""
        ...

    def review(self, work: Work) -> Review | None:
        """Return what the change lacks although its checks passed; `None` when there is nothing to compare it with."""
        ...
