"""Turns the result of a check into what the report says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.checks.judgement import judged
from lg_orch.agent.checks.new_failures import lost_tests
from lg_orch.agent.checks.report_options import shown_words
from lg_orch.agent.checks.runner_reports import read_counts, report_text
from lg_orch.contracts.reports import Check
from lg_orch.tools.go_json import go_text
from lg_orch.tools.junit import split_report

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall

SUMMARY_CHARS = 300


def judge(queued: QueuedCall, envelope: ToolEnvelope) -> Check:
    """Return what one check proved, for the report."""
    arguments = queued.call.input
    words = shown_words({"cmd": queued.call.tool} | arguments)
    words += ["in", str(arguments["cwd"])] if arguments.get("cwd") else []
    found = judged(envelope, arguments)
    return Check(
        name=" ".join(words)[:200],
        ok=found.verdict == "passed",
        no_tests=found.cause == "no_tests",
        tool=queued.call.tool,
        exit_code=envelope.exit_code,
        summary=_summary(envelope),
        verdict=found.verdict,
        unavailable=found.cause == "unavailable",
        reason=found.reason,
        failures=found.failures,
        next_step=found.next_step,
        tests_passed=found.counts.passed if found.counts is not None else None,
    )


def _summary(envelope: ToolEnvelope) -> str:
    for text in (go_text(envelope.stdout), split_report(envelope.stderr)[0]):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return lines[-1][:SUMMARY_CHARS]
    return "no output"


def gone_silent(check: Check, before: ToolEnvelope | None) -> Check:
    """A check whose runner reported tests before the change and reports none now has lost them, whatever its status.

    Code that ends the process with 0 while it is loaded does that.
    """
    if before is None or check.tests_passed is not None or read_counts(report_text(before)) is None:
        return check
    if not lost_tests(before):
        return check
    reason = "no test is reported, and before the change there were some"
    return check.model_copy(
        update={"ok": False, "verdict": "could_not_run", "no_tests": True, "lost_tests": True, "reason": reason}
    )


def cannot_load_as_before(check: Check, before: ToolEnvelope) -> bool:
    """Tell whether a runner cannot load the tests now for the reason that it named before the change."""
    earlier = judged(before, before.artifacts.input)
    same = bool(check.reason) and earlier.reason == check.reason
    return check.verdict == "could_not_run" and earlier.verdict == "could_not_run" and same
