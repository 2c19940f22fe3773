"""Judges a check: by its exit status, by what its runner printed, and by the runner's machine-readable report. Pure.

All of them must say that it passed. A command's exit status alone proves nothing: a `conftest.py` can reset it, and
`--collect-only` ends with 0. pytest and the runners of JavaScript are asked for a JUnit report, Jest and `go test` for
JSON (`report_options`); of other runners the summary is read. Where a report was asked for and none came, nothing is
proved.

Not covered: a repository that forges both, and exits with 0. It runs its own code, so it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lg_orch.agent.checks.cargo_output import disagreement
from lg_orch.agent.checks.runner_reports import (
    RunnerCounts,
    counts_by_dots,
    cut,
    first_error,
    names_of_failures,
    read_counts,
    report_text,
    runner_of,
)
from lg_orch.tools.junit import JS_OPTIONS, REPORT_OPTIONS, RunnerReport, read_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_NAMES = 20
"""Failing tests that a verdict names."""
_BROKEN = re.compile(
    r"errors? during collection|ImportError while loading conftest|\(unittest\.loader\._FailedTest|"
    r"\[(?:build|setup) failed\]|could not compile|Test suite failed to run|ERR_MODULE_NOT_FOUND|"
    r"Cannot find (?:module|package) "
)
"""What runners print when the tests could not even be loaded."""
_ENDED_EARLY = re.compile(
    r"^!{3,} (?:_pytest\.outcomes\.Exit|Interrupted|KeyboardInterrupt|stopping after)\b", re.MULTILINE
)
"""What pytest prints when it did not run all tests that it had collected; `pytest.exit` may choose the status 0."""
_NEXT_STEPS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"(?:sh|bash): (?:line )?\d*:? ?[\w@./-]+: (?:command )?not found|ERR_MODULE_NOT_FOUND"
                r"|Cannot find (?:module|package) '[^./]"),
     "install the packages with `npm install`"),
    (re.compile(r"ModuleNotFoundError: No module named|No module named pytest"),
     "install the project and its packages, for example with `uv sync` or `pip install -e .`"),
    (re.compile(r"missing go\.sum entry|cannot find module providing package|no required module provides package"
                r"|proxy\.golang\.org"),
     "fetch the modules with `go mod download`"),
    (re.compile(r"failed to (?:get|download|fetch) `|no matching package named|failed to load source for dependency"),
     "fetch the crates with `cargo fetch`"),
    (re.compile(r"Missing script: \"?test"), "add a `test` script to `package.json`"),
)  # fmt: skip
"""What a user does about an environment in which tests cannot run."""

Cause = Literal["", "unavailable", "no_tests", "broken"]

_LAST_OPTIONS: Mapping[str, str] = {
    "pytest": REPORT_OPTIONS[-1], **{runner: options[-1] for runner, options in JS_OPTIONS.items()},
}  # fmt: skip
"""The option that shows that a runner was asked for its report."""


@dataclass(frozen=True, kw_only=True)
class CheckVerdict:
    """What a check proved, and why it is not passed."""

    verdict: Literal["passed", "failed", "could_not_run"]
    cause: Cause = ""
    """With `could_not_run`: the command or its packages are missing, no test ran, or the tests could not be loaded."""
    counts: RunnerCounts | None = None
    reason: str = ""
    """The first error line, or what disagrees."""
    failures: tuple[str, ...] = ()
    next_step: str = ""


def judged(result: ToolEnvelope, arguments: Mapping[str, Any]) -> CheckVerdict:
    """Judge a check by its exit status and its runner's report. Both must say that it passed."""
    text, runner = report_text(result), runner_of(arguments)
    pytest = runner == "pytest"
    report = read_report(result.stderr, runner) if pytest or runner in JS_OPTIONS else None
    counts = _counts(text, report, pytest=pytest)
    if result.artifacts.error is not None or result.exit_code in (126, 127):
        return _unavailable(result, text, counts)
    names = _failures(text, report, pytest=pytest)
    step = next_step(text)
    if _could_not_load(result, text, counts, pytest=pytest):
        return CheckVerdict(
            verdict="could_not_run", cause="broken", counts=counts, reason=first_error(text), failures=names,
            next_step=step,
        )  # fmt: skip
    reason = _proves_nothing(result, arguments, counts, report)
    if reason:
        return CheckVerdict(verdict="could_not_run", cause="no_tests", counts=counts, reason=reason, next_step=step)
    if result.ok and result.exit_code == 0 and (counts is None or not counts.failed):
        return CheckVerdict(verdict="passed", counts=counts)
    reason = _why_failed(result, text, counts)
    return CheckVerdict(verdict="failed", counts=counts, reason=reason, failures=names, next_step=step)


def _failures(text: str, report: RunnerReport | None, *, pytest: bool) -> tuple[str, ...]:
    """The names of what failed. pytest prints them as its users write them; other runners print suites among them."""
    printed, told = names_of_failures(text), list(report.failures if report is not None else ())
    return tuple(((printed or told) if pytest else (told or printed))[:MAX_NAMES])


def _counts(text: str, report: RunnerReport | None, *, pytest: bool) -> RunnerCounts | None:
    """What the summary and the report say together: the most failures and the fewest passes of both."""
    counts = read_counts(text)
    if report is None:
        return counts_by_dots(text) if counts is None and pytest else counts
    told = RunnerCounts(passed=report.passed, failed=report.failed, not_run=report.not_run)
    if counts is None:
        return told
    return RunnerCounts(
        passed=min(counts.passed, told.passed),
        failed=max(counts.failed, told.failed),
        not_run=max(counts.not_run, told.not_run),
    )


def _proves_nothing(
    result: ToolEnvelope, arguments: Mapping[str, Any], counts: RunnerCounts | None, report: RunnerReport | None
) -> str:
    """Why a check that ended proves nothing; empty where it proves something."""
    runner = runner_of(arguments)
    if counts is None and runner and result.exit_code == 0:
        return f"{runner} printed no summary"
    if runner == "pytest" and result.exit_code == 0 and _ENDED_EARLY.search(report_text(result)) is not None:
        return "pytest was ended before all tests had run"
    if (counts is not None and not counts.passed and not counts.failed) or (
        runner == "pytest" and result.exit_code == 5
    ):
        return _not_run(counts)
    cut = (result.artifacts.structured or {}).get("truncated") is True
    words = [str(word) for word in arguments.get("args") or ()]
    if runner == "cargo test" and result.exit_code == 0 and not cut:
        wrong = disagreement(result.stdout, result.stderr, words)
        if wrong:
            return f"the output of cargo contradicts itself: {wrong}"
    asked = _LAST_OPTIONS.get(runner) in words
    if asked and report is None and result.exit_code == 0 and not cut:
        return f"{runner} wrote no report of its tests"
    return ""


def _unavailable(result: ToolEnvelope, text: str, counts: RunnerCounts | None) -> CheckVerdict:
    error = result.artifacts.error
    if error is not None and error.code == "timeout":
        return CheckVerdict(verdict="failed", counts=counts, reason=error.message)
    reason = f"{error.code}: {error.message}" if error is not None else first_error(text)
    step = error.hint if error is not None and error.hint else next_step(text)
    return CheckVerdict(verdict="could_not_run", cause="unavailable", counts=counts, reason=cut(reason), next_step=step)


def _could_not_load(result: ToolEnvelope, text: str, counts: RunnerCounts | None, *, pytest: bool) -> bool:
    if result.exit_code in (None, 0) or (counts is not None and counts.passed):
        return False
    return (pytest and result.exit_code in (3, 4)) or _BROKEN.search(text) is not None


def _why_failed(result: ToolEnvelope, text: str, counts: RunnerCounts | None) -> str:
    if result.exit_code is None:
        limit = (result.artifacts.structured or {}).get("limit_hit")
        return f"it was stopped by the limit `{limit}`" if limit else "it was killed before it finished"
    error = first_error(text)
    if counts is not None and (result.exit_code == 0) == bool(counts.failed):
        told = f"exit status {result.exit_code}, but its own report says {counts.failed} failed"
        return cut(f"{told}; {error}" if error else told)
    return error


def _not_run(counts: RunnerCounts | None) -> str:
    skipped = counts.not_run if counts is not None else 0
    return f"no test ran; {skipped} skipped, deselected or expected to fail" if skipped else "no test ran"


def next_step(text: str) -> str:
    """Return what to do about an environment that lacks something; empty where nothing is known to be missing."""
    return next((step for pattern, step in _NEXT_STEPS if pattern.search(text)), "")
