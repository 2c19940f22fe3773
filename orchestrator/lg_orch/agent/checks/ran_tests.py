"""Compares which tests ran before a change and after it. Pure.

A test that is deleted, skipped or no longer collected cannot fail. So a check that runs fewer tests than before proves
less than before, whoever took them away: a test file, a `conftest.py`, or the code itself, which holds the tests of
Rust and the examples of Python's docstrings.

Not covered: a test that is replaced by one that proves less. The number of tests says nothing about it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.judgement import judged
from lg_orch.agent.checks.runner_reports import report_text, runner_of
from lg_orch.contracts.text import many
from lg_orch.tools.junit import read_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_MISSING = 10
"""Missing tests that are named."""
MAX_NAME = 120
"""Characters of one of their names."""
_RAN = re.compile(
    r"^test (?P<cargo>\S{1,300}) \.\.\. (?:ok|FAILED)\b"
    r"|^\s{0,40}--- (?:PASS|FAIL): (?P<go>\S{1,300})"
    r"|^\s{0,40}(?:not )?ok \d{1,9} (?:- )?(?P<tap>(?!.{0,300}# (?:skip|todo)\b).{1,300})",
    re.MULTILINE | re.IGNORECASE,
)


def fewer_tests(before: ToolEnvelope | None, after: ToolEnvelope, arguments: Mapping[str, Any]) -> str:
    """Return in words how many tests fewer a check ran, and which; empty where it ran no fewer, or nobody can tell.

    A check that runs no test at all any more has lost them, which is said elsewhere.
    """
    if before is None or _is_cut(before) or _is_cut(after):
        return ""
    then, now = _ran(before, arguments), _ran(after, arguments)
    if then is None or not now or now >= then:
        return ""
    runner = runner_of(arguments)
    missing = sorted(_names(before, runner) - _names(after, runner))
    named = [name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}\u2026" for name in missing[:MAX_MISSING]]
    more = [f"{len(missing) - MAX_MISSING} more"] if len(missing) > MAX_MISSING else []
    told = f"{many(now, 'test')} ran, {then} before the change"
    return f"{told}; missing: {', '.join([*named, *more])}" if named else told


def _ran(result: ToolEnvelope, arguments: Mapping[str, Any]) -> int | None:
    counts = judged(result, arguments).counts
    return None if counts is None else counts.passed + counts.failed


def _names(result: ToolEnvelope, runner: str) -> set[str]:
    report = read_report(result.stderr, runner)
    if report is not None:
        return set(report.ran)
    found = (match.group(match.lastgroup or 0).strip() for match in _RAN.finditer(report_text(result)))
    return set(found)


def _is_cut(result: ToolEnvelope) -> bool:
    return (result.artifacts.structured or {}).get("truncated") is True
