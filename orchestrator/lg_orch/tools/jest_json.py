"""Finds and reads the JSON report that Jest writes into a command's standard error. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_BEGIN = re.compile(r"^\{\"numFailedTestSuites\":", re.MULTILINE)
_NUMBER = re.compile(
    r"\"num(FailedTests|PassedTests|PendingTests|TodoTests|RuntimeErrorTestSuites)\":(\d{1,9})(?=[,}])"
)
HEAD = 1_000
"""The totals stand within so many characters of the report's beginning."""
MAX_REPORT = 5_000_000
"""Characters of a report whose tests are read by name."""


def split(text: str) -> tuple[str, str]:
    """Return the text without the reports, and the reports; a report whose end is missing goes to the end."""
    shown, reports, at = [], [], 0
    while (begin := _BEGIN.search(text, at)) is not None:
        end = text.find("\n", begin.start())
        shown.append(text[at : begin.start()])
        stop = _end(text, begin.start(), end if end >= 0 else len(text))
        reports.append(text[begin.start() : stop])
        at = stop
    shown.append(text[at:].lstrip("\n") if reports else text[at:])
    return "".join(shown), "\n".join(reports)


def _end(text: str, start: int, line_end: int) -> int:
    """Where a report ends: it is one line. Jest says where it wrote it on the same line, or on the next."""
    found = text.rfind("}", start, line_end)
    return found + 1 if found >= 0 else line_end


def totals(report: str) -> tuple[int, int, int] | None:
    """Return how many tests passed, failed and did not run; a file that could not be loaded counts as a failure.

    Of several reports the failures add up and the fewest passes count.
    """
    each = [
        {name: int(number) for name, number in _NUMBER.findall(line[:HEAD])}
        for line in report.splitlines()
        if _BEGIN.match(line)
    ]
    each = [told for told in each if {"PassedTests", "FailedTests"} <= set(told)]
    if not each:
        return None
    failed = sum(told["FailedTests"] + told.get("RuntimeErrorTestSuites", 0) for told in each)
    not_run = sum(told.get("PendingTests", 0) + told.get("TodoTests", 0) for told in each)
    return min(told["PassedTests"] for told in each), failed, not_run


def names(report: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the tests that ran and those that failed; none where the report is not whole."""
    try:
        told = json.loads(report) if len(report) <= MAX_REPORT else None
    except (ValueError, RecursionError):
        return frozenset(), ()
    ran: set[str] = set()
    failed: dict[str, None] = {}
    for test in _tests(told):
        name = str(test.get("fullName"))
        if test.get("status") in ("passed", "failed"):
            ran.add(name)
        if test.get("status") == "failed":
            failed[name] = None
    return frozenset(ran), tuple(failed)


def _tests(told: object) -> list[dict[str, Any]]:
    files = told.get("testResults") if isinstance(told, dict) else None
    found = [file.get("assertionResults") for file in files or () if isinstance(file, dict)]
    return [test for tests in found if isinstance(tests, list) for test in tests if isinstance(test, dict)]
