"""Do the tests pass? The plan names a check, the verifier runs it, and its exit code is the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.checks.check_commands import missing_checks, root_checks
from lg_orch.analyst import calls
from lg_orch.analyst.report.markdown import MarkdownReport
from lg_orch.analyst.report.safe_text import code, prose
from lg_orch.analyst.sections.tests import commands
from lg_orch.analyst.sources import survey as surveying
from lg_orch.analyst.sources.survey import Survey
from lg_orch.contracts.plans import ToolUse

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.contracts.plans import PlannedCall, PlanStep
    from lg_orch.contracts.reports import Answer


class CheckTopic:
    """Runs the tests that the files at the root call for; claims nothing that no command proved."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Read how the repository itself says its tests are run, to put beside the result."""
        return surveying.first_steps(case.context, {"look"})

    def checks(self, case: Case) -> list[ToolUse]:
        """Return one check for each kind of project at the root; none when the command server is not there."""
        if case.tools is not None and calls.EXEC not in case.tools:
            return []
        return [ToolUse(tool=calls.EXEC, input=check.input()) for check in root_checks(case.context)]

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Read the files that say how tests are run."""
        return surveying.more_calls(Survey(evidence=case.evidence), {"look"})

    def answer(self, case: Case) -> Answer:
        """Return the exit codes, or why there are none."""
        report = MarkdownReport("Whether the checks pass")
        ran = case.verification.checks if case.verification is not None else ()
        for check in ran:
            status = (
                f"exit code {check.exit_code}"
                if check.exit_code is not None
                else "no exit code: it did not run to its end"
            )
            why = check.reason or check.summary
            said = f" — {prose(why, 300)}" if why else ""
            report.say(f"{code(check.name)}: {check.outcome}, {status}{said}")
        if ran:
            report.text("A check passes if its exit code is 0 and its runner reports at least one test and no failure.")
        else:
            report.text("No check could be run, so nothing is claimed.")
            report.lacks(_why_not(case))
            for name, why in missing_checks(case.context).items():
                report.lacks(f"{name}, which cannot be run here: {why}")
        report.section("How the repository says its tests are run")
        commands(Survey(evidence=case.evidence), report)
        for problem in (*case.context.problems, *case.evidence.failures()):
            report.lacks(problem)
        return report.answer()


def _why_not(case: Case) -> str:
    if case.checks:
        return "a result: the plan named a check, and the verifier did not run it"
    return (
        "a check to run: no file at the root calls for a test command of the command server, or the server is not there"
    )
