"""Finds and reads the JUnit report that pytest writes into a command's standard error. Pure.

`REPORT_OPTIONS` ask pytest for it. A file would be lost with the sandbox, so the report goes where the output goes: the
server returns it in `stderr`, and people and models are shown the rest. pytest writes the report from the results of
the single tests, so it is right also where a `conftest.py` edits the summary, or turns the terminal off.

Not covered: a repository that writes a false report and keeps pytest from writing the true one. Its code runs inside
pytest, so it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REPORT_OPTIONS = ("-p", "junitxml", "--junitxml=/dev/stderr")
"""Arguments of pytest. The first two turn the plugin on where the project's settings turn it off."""
MAX_ATTRIBUTES = 4_000
"""Characters of one element's attributes; a longer element is not read."""
_BEGIN = re.compile(r"<\?xml version=\"1\.0\"[^<>]{0,80}\?>\s{0,4}<testsuites?\b")
_ENDS = ("</testsuites>", "</testsuite>")
_ATTRIBUTES = rf"([^<>]{{0,{MAX_ATTRIBUTES}}})"
_SUITE = re.compile(rf"<testsuite\b{_ATTRIBUTES}>")
_NUMBER = re.compile(r"\b(tests|failures|errors|skipped|skips)=\"(\d{1,9})\"")
_PART = re.compile(rf"<testcase\b{_ATTRIBUTES}>|<(skipped|failure|error)\b")
_NAME = re.compile(r"\b(classname|name)=\"([^\"]*)\"")


@dataclass(frozen=True, kw_only=True)
class JUnitReport:
    """How many tests passed, failed and did not run.

    `ran` names those that ran, without their parameters; `failures` those that failed.
    """

    passed: int
    failed: int
    not_run: int
    ran: frozenset[str] = frozenset()
    failures: tuple[str, ...] = ()


def split_report(text: str) -> tuple[str, str]:
    """Return a command's standard error without the report, and the report; both may be empty."""
    begin = _BEGIN.search(text)
    if begin is None:
        return text, ""
    end = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _ENDS)
    if end < begin.end():
        end = len(text)
    return text[: begin.start()] + text[end:].lstrip("\n"), text[begin.start() : end]


def read_report(text: str) -> JUnitReport | None:
    """Return what the report in a command's standard error says; `None` where there is none.

    The totals stand at its head, so a report whose middle was cut still counts. Of several reports, which one pytest
    never writes, the failures add up and the fewest passes count.
    """
    report = split_report(text)[1]
    suites = [{name: int(number) for name, number in _NUMBER.findall(found[1])} for found in _SUITE.finditer(report)]
    suites = [suite for suite in suites if "tests" in suite]
    if not suites:
        return None
    passed, failed, not_run = [], 0, 0
    for suite in suites:
        bad = suite.get("failures", 0) + suite.get("errors", 0)
        skipped = suite.get("skipped", 0) + suite.get("skips", 0)
        passed.append(max(0, suite["tests"] - bad - skipped))
        failed, not_run = failed + bad, not_run + skipped
    ran, failures = _names(report)
    return JUnitReport(passed=min(passed), failed=failed, not_run=not_run, ran=ran, failures=failures)


def _names(report: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The tests that ran, without their parameters, and those that failed, as they are called."""
    ran: list[str] = []
    failed: dict[str, None] = {}
    name = ""
    for part in _PART.finditer(report):
        if part[2] is None:
            told = dict(_NAME.findall(part[1]))
            name = f"{told.get('classname', '')}::{told.get('name', '')}".removeprefix("::")
            ran.append(name.partition("[")[0])
        elif part[2] == "skipped":
            # The test named last did not run. If it also ran with other parameters, it has other entries.
            ran[-1:] = []
        elif name:
            failed[name] = None
    return frozenset(ran), tuple(failed)
