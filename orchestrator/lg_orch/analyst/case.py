"""One request with all that is known about it, and what a topic can do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.analyst.sources.evidence import Evidence
    from lg_orch.analyst.understanding import UnderstoodRequest
    from lg_orch.contracts.plans import PlannedCall, PlanStep, ToolUse
    from lg_orch.contracts.reports import Answer, VerifierReport
    from lg_orch.contracts.repository import RepoContext


@dataclass(frozen=True, kw_only=True)
class Case:
    """The request, the tools there are, and what came back so far (nothing while it is planned)."""

    ask: UnderstoodRequest
    evidence: Evidence
    tools: frozenset[str] | None = None
    """Qualified names at the gateway; None once the plan is made."""
    checks: tuple[ToolUse, ...] = ()
    """Checks that the plan named."""
    verification: VerifierReport | None = None

    @property
    def context(self) -> RepoContext:
        """What was known before any planning."""
        return self.evidence.context


class Topic(Protocol):
    """One kind of request, from its first calls to its answer. Keeps nothing between calls."""

    def steps(self, case: Case) -> Sequence[PlanStep]:
        """Return the first calls."""
        ...

    def checks(self, case: Case) -> Sequence[ToolUse]:
        """Return the commands for the verifier; empty unless the request asks for a check."""
        ...

    def next_calls(self, case: Case) -> Sequence[PlannedCall]:
        """Return the calls that follow from what came back; each has its fixed id, so that none is made twice."""
        ...

    def answer(self, case: Case) -> Answer:
        """Return the answer from what came back."""
        ...


class NoChecks:
    """Base of topics that claim nothing a command would have to prove."""

    def checks(self, _case: Case) -> Sequence[ToolUse]:
        """Return no checks."""
        return ()
