"""What a run reports: checks, and an answer with the places that prove it."""

from __future__ import annotations

from typing import Literal

from lg_orch.contracts.base import Strict


class Check(Strict):
    """One check that was run. It passed if its exit code is 0 and its runner's own report names no failure.

    A check that could not be run, or that ran no test, proves nothing; `ok` is then false.
    """

    name: str
    ok: bool
    tool: str
    exit_code: int | None
    summary: str
    failed_before: bool = False
    """It did not pass before the change either."""
    no_tests: bool = False
    """By its own words it ran no test, so it proves nothing, whatever its exit code; then `ok` is false."""
    lost_tests: bool = False
    """It runs no test any more, and did before the change."""
    no_baseline: bool = False
    """It was not run before the change, so every failure counts as new."""
    verdict: Literal["passed", "failed", "could_not_run"] | None = None
    """What it proved; null in records of earlier versions."""
    unavailable: bool = False
    """With `could_not_run`: the command or its packages are not there."""
    reason: str = ""
    """The first error line, or why it proves nothing."""
    failures: tuple[str, ...] = ()
    """The first tests that failed, by the names that the runner prints."""
    next_step: str = ""
    """What to do so that it can be run."""
    tests_passed: int | None = None
    """How many tests passed by the runner's report; of `go test` at least so many. Null where it reports nothing."""
    fewer_tests: str = ""
    """Fewer tests ran than before the change: how many, and which are missing."""

    @property
    def harmless(self) -> bool:
        """Whether it neither proves a change nor speaks against it."""
        return (self.no_tests or self.unavailable) and not self.lost_tests

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self.ok:
            return "passed"
        word = "no tests ran" if self.no_tests else "could not be run" if self.verdict == "could_not_run" else "failed"
        if self.lost_tests:
            return f"{word} any more"
        if self.failed_before:
            return f"{word}, as before the change"
        return f"{word}, and not run before the change" if self.no_baseline and not self.harmless else word


class VerifierReport(Strict):
    """The verifier's output (`schemas/verifier_report.schema.json`). No checks means that nothing is claimed."""

    ok: bool
    checks: tuple[Check, ...] = ()


class Statement(Strict):
    """One thing the answer claims and the place that proves it."""

    text: str
    file: str | None = None
    """Relative to the root, with `/`; null only for totals over many files."""
    line: int | None = None
    """1-based."""


class Answer(Strict):
    """What the run has to say."""

    text_markdown: str
    statements: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """What was looked for and not found, or not looked at; the report shows it."""
