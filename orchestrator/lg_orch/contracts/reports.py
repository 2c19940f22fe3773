"""What a run reports: checks, and an answer with the places that prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.base import Strict

if TYPE_CHECKING:
    pass


class Check(Strict):
    """One check that was run: passed is exit code 0 of our own call, unless no test ran."""

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

    @property
    def harmless(self) -> bool:
        """Whether it neither proves a change nor speaks against it."""
        return self.no_tests and not self.lost_tests

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self.ok:
            return "passed"
        if self.no_tests:
            return "no tests ran any more" if self.lost_tests else "no tests ran"
        if self.failed_before:
            return "not passed, as before the change"
        return "not passed, and not run before the change" if self.no_baseline else "not passed"


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
