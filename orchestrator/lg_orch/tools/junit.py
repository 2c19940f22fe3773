"""Finds and reads the reports for machines that test runners write into a command's standard error. Pure.

pytest, `node --test`, Vitest and Mocha write JUnit's XML, Jest writes JSON. `REPORT_OPTIONS` and `JS_OPTIONS` ask them
for it. A file would be lost with the sandbox, so the report goes where the output goes: the server returns it in
`stderr`, and people and models are shown the rest. Runners write the report from the results of the single tests, so it
is right also where a `conftest.py` edits the summary, or turns the terminal off.

Not covered: a repository that writes a false report and keeps the runner from writing the true one. Its code runs
inside the runner, so it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

from lg_orch.tools import jest_json

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT_OPTIONS = ("-p", "junitxml", "--junitxml=/dev/stderr")
"""Arguments of pytest. The first two turn the plugin on where the project's settings turn it off."""
NODE_REPORT = ("--test-reporter=junit", "--test-reporter-destination=/dev/stderr")
"""Arguments of `node --test`, after those of the reporter for people. They stand before its files."""
JS_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "node": ("--test-reporter=spec", "--test-reporter-destination=stdout", *NODE_REPORT),
    "jest": ("--json", "--outputFile=/dev/stderr"),
    "vitest": ("--reporter=default", "--reporter=junit", "--outputFile.junit=/dev/stderr"),
    "mocha": ("--reporter", "xunit", "--reporter-option", "output=/dev/stderr"),
}
"""Arguments of the runners of JavaScript. Mocha has one reporter only: what it says for people is made from that."""
MAX_SHOWN = 100
"""Failures of Mocha that people and models are shown."""
MAX_MESSAGE = 4_000
"""Characters of one of them."""
_BEGIN = re.compile(
    r"<\?xml version=\"1\.0\"[^<>]{0,80}\?>\s{0,4}<testsuites?\b|^<testsuite name=\"Mocha Tests\"", re.MULTILINE
)
_MOCHA = "<testsuite name="
_ENDS = ("</testsuites>", "</testsuite>")
_ATTRIBUTES = r"((?:[^<>\"]++|\"[^<\"]*+\")*+)"
"""Node leaves a `>` in a name as it is."""
_SUITE = re.compile(rf"<testsuite\b{_ATTRIBUTES}>")
_NUMBER = re.compile(r"\b(tests|failures|errors|skipped|skips)=\"(\d{1,9})\"")
_PART = re.compile(rf"<testcase\b{_ATTRIBUTES}>|<(skipped|failure|error)\b")
_NAME = re.compile(r"\b(classname|name)=\"([^\"]*)\"")
_NODE_TOTAL = re.compile(r"<!-- (tests|pass|fail|cancelled|skipped|todo) (\d{1,9}) -->")
_MESSAGE = re.compile(rf"<failure\b{_ATTRIBUTES}>([^<]{{0,{MAX_MESSAGE}}})")


@dataclass(frozen=True, kw_only=True)
class RunnerReport:
    """How many tests passed, failed and did not run.

    `ran` names those that ran, without their parameters; `failures` those that failed.
    """

    passed: int
    failed: int
    not_run: int
    ran: frozenset[str] = frozenset()
    failures: tuple[str, ...] = ()


def split_report(text: str) -> tuple[str, str]:
    """Return a command's standard error without the report, and the report; both may be empty.

    Mocha's report stands alone, so it is put into words in its place.
    """
    shown, report = jest_json.split(text)
    if report:
        return shown, report
    begin = _BEGIN.search(text)
    if begin is None:
        return text, ""
    end = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _ENDS)
    if end < begin.end():
        end = len(text)
    report = text[begin.start() : end]
    words = _in_words(report) if report.startswith(_MOCHA) else ""
    return text[: begin.start()] + words + text[end:].lstrip("\n"), report


def read_report(text: str, runner: str = "pytest") -> RunnerReport | None:
    """Return what the report in a command's standard error says; `None` where there is none.

    The totals stand at its head or end, so a report whose middle was cut still counts. Of several reports, which one
    run never writes, the failures add up and the fewest passes count.
    """
    report = split_report(text)[1]
    if runner == "jest":
        totals = jest_json.totals(report)
        ran, failures = jest_json.names(report)
    else:
        totals = _node_totals(report) if runner == "node" else _totals(report)
        ran, failures = _names(report)
    if totals is None:
        return None
    passed, failed, not_run = totals
    return RunnerReport(passed=passed, failed=failed, not_run=not_run, ran=ran, failures=failures)


def _totals(report: str) -> tuple[int, int, int] | None:
    """The totals of a report; each suite tells its own. Vitest has a suite for each file, the others have one."""
    suites = [{name: int(number) for name, number in _NUMBER.findall(found[1])} for found in _SUITE.finditer(report)]
    suites = [suite for suite in suites if "tests" in suite]
    if not suites:
        # Vitest found no file with a test.
        return (0, 0, 0) if '<testsuites name="vitest tests" tests="0"' in report else None
    passed, failed, not_run = [], 0, 0
    for suite in suites:
        bad = suite.get("failures", 0) + suite.get("errors", 0)
        skipped = suite.get("skipped", 0) + suite.get("skips", 0)
        passed.append(max(0, suite["tests"] - bad - skipped))
        failed, not_run = failed + bad, not_run + skipped
    one_run = '<testsuites name="vitest tests"' in report
    return sum(passed) if one_run else min(passed), failed, not_run


def _node_totals(report: str) -> tuple[int, int, int] | None:
    """The totals of node. They are comments at the end; a test can write comments too, but only before them."""
    told = {name: int(number) for name, number in _NODE_TOTAL.findall(report)}
    if not {"tests", "pass", "fail"} <= set(told):
        return None
    listed = len(_names(report)[1])
    return (
        told["pass"],
        max(listed, told["fail"] + told.get("cancelled", 0)),
        told.get("skipped", 0) + told.get("todo", 0),
    )


def _in_words(report: str) -> str:
    """What Mocha's reporter for people would have said: the totals, and each failure with its message."""
    totals = _totals(report)
    if totals is None:
        return ""
    lines = [f"  {number} {word}" for number, word in zip(totals, ("passing", "failing", "pending"), strict=True)]
    failures = zip(_names(report)[1], (found[2] for found in _MESSAGE.finditer(report)), strict=False)
    for number, (name, message) in enumerate(failures, start=1):
        if number > MAX_SHOWN:
            lines.append("  and more failures")
            break
        lines += ["", f"  {number}) {name.replace('::', ' ', 1)}", f"     {unescape(message).strip()}"]
    return "\n".join(lines) + "\n"


def _names(report: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The tests that ran, without their parameters, and those that failed, as they are called."""
    ran: list[str] = []
    failed: dict[str, None] = {}
    name = ""
    for part in _PART.finditer(report):
        if part[2] is None:
            told = dict(_NAME.findall(part[1]))
            name = unescape(f"{told.get('classname', '')}::{told.get('name', '')}".removeprefix("::"))
            ran.append(name.partition("[")[0])
        elif part[2] == "skipped":
            # The test named last did not run. If it also ran with other parameters, it has other entries.
            ran[-1:] = []
        elif name:
            failed[name] = None
    return frozenset(ran), tuple(failed)
