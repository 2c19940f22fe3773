"""A backend that follows a script: decisions without any model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.contracts.envelopes import ToolEnvelope
from lg_orch.contracts.plans import Plan, PlannedCall, Route
from lg_orch.contracts.reports import Answer, VerifierReport
from lg_orch.contracts.repository import RepoContext

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(kw_only=True)
class ScriptedBackend:
    """A `Backend` whose every decision is given beforehand; keeps what it was asked for assertions."""

    chosen: Route = field(default_factory=lambda: Route(intent="question", lane="interactive", rationale="scripted"))
    planned: Plan = field(default_factory=lambda: Plan(steps=()))
    rounds: list[Sequence[PlannedCall]] = field(default_factory=list)
    """Answers to `next_calls`, one after the other; afterwards nothing follows."""
    said: Answer = field(default_factory=lambda: Answer(text_markdown="scripted answer"))
    context: RepoContext | None = None
    results: list[ToolEnvelope] = field(default_factory=list)
    verification: VerifierReport | None = None
    asked: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    """Every question: the method's name and its arguments."""

    @property
    def plans_asked(self) -> int:
        """How often a plan was asked for."""
        return sum(1 for name, _ in self.asked if name == "plan")

    def route(self, request: str) -> Route:
        """Return the scripted route."""
        self.asked.append(("route", (request,)))
        return self.chosen

    def plan(self, request: str, route: Route, context: RepoContext, tools: Sequence[str]) -> Plan:
        """Return the scripted plan."""
        self.context = context
        self.asked.append(("plan", (request, route, context, tools)))
        return self.planned

    def next_calls(
        self, request: str, plan: Plan, context: RepoContext, results: Sequence[ToolEnvelope]
    ) -> Sequence[PlannedCall]:
        """Return the next scripted round."""
        self.asked.append(("next_calls", (request, plan, context, results)))
        return self.rounds.pop(0) if self.rounds else ()

    def answer(
        self,
        request: str,
        plan: Plan,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport | None,
    ) -> Answer:
        """Return the scripted answer."""
        self.asked.append(("answer", (request, plan, context, results, verification)))
        self.results, self.verification = list(results), verification
        return self.said
