"""The one seam between the graph and whoever thinks: the built-in analyst, a language model, a script in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.models_io import Answer, Plan, PlannedCall, RepoContext, Route, ToolEnvelope, VerifierReport


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
