"""Connects the analyst to the graph: picks the topic, lets it plan, read on and answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.analyst.case import Case, Topic
from lg_orch.analyst.report.markdown import MarkdownReport
from lg_orch.analyst.sources.evidence import Evidence
from lg_orch.analyst.topics.changed import ChangedTopic
from lg_orch.analyst.topics.check import CheckTopic
from lg_orch.analyst.topics.depends import DependsTopic
from lg_orch.analyst.topics.described import DescribedTopic
from lg_orch.analyst.topics.summary import SummaryTopic
from lg_orch.analyst.topics.tests_for import TestsForTopic
from lg_orch.analyst.topics.uses import UsesTopic
from lg_orch.analyst.topics.where import WhereTopic
from lg_orch.analyst.understanding import UnderstoodRequest, understand
from lg_orch.contracts.plans import Plan, PlannedCall, Route
from lg_orch.contracts.reports import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.plans import Intent
    from lg_orch.contracts.reports import VerifierReport
    from lg_orch.contracts.repository import RepoContext

CAN = (
    "summarise a repository, and answer: where is X defined, who uses X, what depends on Y, which tests cover Z, "
    "how do I run the tests, do the tests pass, what changed last; and about its languages, packages, entry points, "
    "dependencies, licence, CI, documentation and largest modules"
)
"""What the analyst can do without a model, for messages."""

_TOPICS: dict[str, Topic] = {
    "summary": SummaryTopic(),
    "where": WhereTopic(),
    "uses": UsesTopic(),
    "depends": DependsTopic(),
    "tests_for": TestsForTopic(),
    "changed": ChangedTopic(),
    "check": CheckTopic(),
}
_DESCRIBED = DescribedTopic()
NAMED = "NAME"
_LOOKING_FOR: Mapping[str, str] = {
    "summary": "Answering from the summary",
    "where": f"Looking for the definition of {NAMED}",
    "uses": f"Looking for uses of {NAMED}",
    "depends": f"Looking for what depends on {NAMED}",
    "tests_for": f"Looking for tests of {NAMED}",
    "changed": "Looking for recent changes",
    "check": "Finding out whether the checks pass",
}
"""What a question asks for, by its kind, as a sentence without its end; `NAMED` is its subject."""
_CHANGES = ("refactor", "restructure", "simplify", "clean up")
_DEBUGS = ("fix", "debug", "repair", "solve", "bug")


class LocalAnalyst:
    """Decides by fixed rules; the same request and results give the same calls and the same answer."""

    def route(self, request: str) -> Route:
        """Return what kind of request this is; `needs_model` for all that no rule can answer."""
        ask = understand(request)
        if ask.kind == "model":
            rationale = "It asks for a change or a judgement."
            return Route(intent=_intent(request), lane="deep", rationale=rationale, needs_model=True)
        if ask.kind == "unknown":
            rationale = f"The built-in analyst has no rule for it; without a model it can {CAN}."
            return Route(intent="question", lane="deep", rationale=rationale, needs_model=True)
        if ask.kind == "summary" and not ask.sections:
            return Route(intent="analysis", lane="interactive", rationale="Summarizing the repository.")
        looking = _LOOKING_FOR[ask.kind]
        about = f" about {ask.subject}" if ask.subject and NAMED not in looking else ""
        return Route(
            intent="question",
            lane="interactive",
            rationale=f"{looking.replace(NAMED, ask.subject or 'it')}{about}.",
            wants_check=ask.kind == "check",
        )

    def plan(self, request: str, route: Route, context: RepoContext, tools: Sequence[str]) -> Plan:
        """Return the first calls, each to a tool that is there; a check only when the request asks for one."""
        ask = understand(request)
        topic = _topic(ask)
        if topic is None or route.needs_model:
            return Plan(steps=(), acceptance=("A language model is set.",))
        case = Case(ask=ask, evidence=Evidence(results=(), context=context), tools=frozenset(tools))
        steps = [step for step in topic.steps(case) if all(use.tool in tools for use in step.tools)]
        checks = tuple(topic.checks(case))
        acceptance = ["Every statement names the file and line it was read at, or is a count over many files."]
        if checks:
            acceptance.append("Every check exits with 0.")
        return Plan(
            steps=tuple(steps),
            acceptance=tuple(acceptance),
            verification=checks,
            rollback="Nothing is changed, so there is nothing to put back.",
        )

    def next_calls(
        self, request: str, plan: Plan, context: RepoContext, results: Sequence[ToolEnvelope]
    ) -> Sequence[PlannedCall]:
        """Return what follows from the results; empty when nothing does."""
        ask = understand(request)
        topic = _topic(ask)
        if topic is None:
            return ()
        return tuple(topic.next_calls(_case(ask, plan, context, results, None)))

    def answer(
        self,
        request: str,
        plan: Plan,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport | None,
    ) -> Answer:
        """Return the report; for a request that needs a model, that it does, and nothing else."""
        ask = understand(request)
        topic = _topic(ask)
        if topic is None:
            report = MarkdownReport("Not answered")
            report.text(f"This request needs a language model, and none is set. Without one the analyst can {CAN}.")
            report.lacks("a language model")
            return report.answer()
        return topic.answer(_case(ask, plan, context, results, verification))


def _topic(ask: UnderstoodRequest) -> Topic | None:
    return _DESCRIBED if ask.described else _TOPICS.get(ask.kind)


def _case(
    ask: UnderstoodRequest,
    plan: Plan,
    context: RepoContext,
    results: Sequence[ToolEnvelope],
    verification: VerifierReport | None,
) -> Case:
    evidence = Evidence(results=tuple(results), context=context)
    return Case(ask=ask, evidence=evidence, checks=plan.verification, verification=verification)


def _intent(request: str) -> Intent:
    lowered = request.lower()
    if any(word in lowered for word in _CHANGES):
        return "refactor"
    if any(word in lowered for word in _DEBUGS):
        return "debug"
    return "question" if lowered.startswith(("why", "how", "what", "explain", "should")) else "code_change"
