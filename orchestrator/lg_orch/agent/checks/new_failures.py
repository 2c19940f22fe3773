"""Tells failures that were there before a change from those that came with it, by what the commands printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.checks.runner_reports import names_of_failures, read_counts, report_text

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope


def failures(result: ToolEnvelope) -> frozenset[str]:
    """Return the names of what failed, as the usual test programs and checkers print them.

    Empty when none is recognised.
    """
    return frozenset(names_of_failures(report_text(result)))


def only_old_failures(before: ToolEnvelope | None, after: ToolEnvelope) -> bool:
    """Tell whether a check that does not pass failed before as well, and nothing fails now that did not fail then.

    Where no failure can be told by name it is never so: equal exit codes alone prove nothing.
    """
    if before is None or before.exit_code in (None, 0) or after.exit_code != before.exit_code:
        return False
    now = failures(after)
    return bool(now) and now <= failures(before)


def lost_tests(before: ToolEnvelope | None) -> bool:
    """Tell whether a check that runs no test now ran some before.

    If its output does not say, a success counts as having run some.
    """
    if before is None:
        return False
    counts = read_counts(report_text(before))
    return before.exit_code == 0 if counts is None else counts.passed + counts.failed > 0
