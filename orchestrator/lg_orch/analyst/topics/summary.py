"""`summarize repo`, and questions that one section of it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sections.dependencies import dependencies
from lg_orch.analyst.sections.description import continuous_integration, documentation, identity, languages, licence
from lg_orch.analyst.sections.entry_points import entry_points
from lg_orch.analyst.sections.structure import modules, packages
from lg_orch.analyst.sections.tests import find_commands, tests, typed_first
from lg_orch.analyst.sources import survey as surveying
from lg_orch.analyst.sources.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_orch.analyst.case import Case
    from lg_orch.analyst.understanding import UnderstoodRequest
    from lg_orch.contracts.plans import PlannedCall, PlanStep
    from lg_orch.contracts.reports import Answer

SECTIONS: dict[str, tuple[Callable[[Survey, MarkdownReport], None], frozenset[str]]] = {
    "identity": (identity, frozenset({"look"})),
    "languages": (languages, frozenset()),
    "packages": (packages, frozenset({"look", "files"})),
    "entries": (entry_points, frozenset({"look", "files", "mains"})),
    "dependencies": (dependencies, frozenset({"look"})),
    "tests": (tests, frozenset({"look", "files", "imports"})),
    "ci": (continuous_integration, frozenset({"look"})),
    "docs": (documentation, frozenset({"look"})),
    "licence": (licence, frozenset({"look"})),
    "modules": (modules, frozenset({"look", "files", "imports", "sizes"})),
}
"""Sections in the order of the report, each with the parts of the survey it needs."""


class SummaryTopic(NoChecks):
    """The whole report, or the sections that were asked for."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Return the first calls: the parts of the survey that the sections need."""
        return surveying.first_steps(case.context, _parts(case.ask))

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Return what those calls name, read."""
        return surveying.more_calls(Survey(evidence=case.evidence), _parts(case.ask))

    def answer(self, case: Case) -> Answer:
        """Return the report; a section whose calls are missing says so."""
        ask, evidence = case.ask, case.evidence
        survey = Survey(evidence=evidence)
        title = "About" if ask.sections else "Summary of"
        report = MarkdownReport(f"{title} {code(case.context.root_name)}")
        totals = survey.totals
        if totals is not None and totals.files == 0:
            report.text("The repository holds no files that can be read here.")
            report.lacks("any file: the directory is empty, or everything in it is ignored or may not be read")
        else:
            if ask.sections == ("tests",) and (found := find_commands(survey)):
                report.lead(typed_first(found[0]))
            for name in ask.sections or SECTIONS:
                SECTIONS[name][0](survey, report)
        for part in sorted(_parts(ask) & {"look", "files", "imports", "mains"}):
            if not evidence.answered(f"{part}.1") and totals is not None and totals.files and survey.code_total:
                report.lacks(f"what the step {part!r} would have shown: it was not made")
        for problem in (*case.context.problems, *evidence.failures()):
            report.lacks(problem)
        return report.answer()


def _parts(ask: UnderstoodRequest) -> frozenset[str]:
    return frozenset().union(*(SECTIONS[name][1] for name in ask.sections or SECTIONS))
