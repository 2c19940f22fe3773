"""Reads what test runners print: how many tests passed, failed or did not run, and what went wrong first. Pure.

The sandbox returns no files, so the figures are read from the output: the summaries of pytest, unittest, `cargo test`,
`go test` (also with `-json`), node's test runner, Jest, Vitest, Mocha, and others (`other_runners`). Where several
runners speak, their figures add up. What a check proves by them is decided in `judgement`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.other_runners import FAILED, GRADLE, NOTHING, SUMMARIES, TAP, TAP_DIRECTIVE
from lg_orch.tools.go_json import go_text
from lg_orch.tools.junit import JS_OPTIONS, split_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_LINE = 2_000
"""Characters of one line that are read; a summary is shorter."""
MAX_REASON = 300
"""Characters of the first error line."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WORDS = r"(?:passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun|subtests (?:passed|failed))"
_PYTEST = re.compile(rf"^=*\s*(\d+ {_WORDS}(?:, \d+ {_WORDS})*)(?: in [\d.]+s\b|\s*=*$)")
_PYTEST_NONE = re.compile(r"^=*\s*(?:no tests (?:ran|collected)|\d+(?:/\d+)? tests? collected)\b")
_PYTEST_DOTS = re.compile(r"^(?:\S+\.py )?([.FEsxX]+)\s+\[\s*\d+%\]$")
_TEST_WORD = re.compile(r"passed|failed|error|skipped|selected")
"""At least one of these is in a summary; "2 warnings" alone comes from other programs."""
_ERRORS = re.compile(r"(\d+) errors?\b")
_COUNT = re.compile(r"(\d+) ([a-z]+(?: [a-z]+)?)")
_UNITTEST = re.compile(r"^Ran (\d+) tests? in ")
_UNITTEST_END = re.compile(r"^(?:OK|FAILED|NO TESTS RAN)(?: \(([^()]*)\))?$")
_CARGO = re.compile(r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored")
_GO_PACKAGE = re.compile(r"^(ok  |FAIL)\s*\t\S+\s+(.*)$|^(\?)\s+\t?\S+\s+\[no test files\]")
_GO_TEST = re.compile(r"^\s*--- (PASS|FAIL|SKIP): ")
_NODE = re.compile(r"^(?:# |\u2139 )(tests|pass|fail|skipped|todo|cancelled) {1,4}(\d+)$")
_NEXTEST = re.compile(r"^\s*Summary \[[^\]]{1,40}\] \d+(?:/\d+)? tests? run: (.*)$")
_JEST = re.compile(r"^\s*Tests:?\s+(.*)$")
_JEST_FILES = re.compile(r"^\s*Test (?:Suites|Files):?\s+(\d+) failed\b")
_MOCHA = re.compile(r"^\s*(\d+) (passing|failing|pending)\b")
_PASSED, _FAILED = ("passed", "pass", "passing"), ("failed", "fail", "failing", "error", "errors", "cancelled")
_IGNORED = ("warning", "warnings", "rerun", "total", "subtests passed", "tests", "flaky")
_FIRST_ERROR = re.compile(
    r"^E   +(?P<pytest>\S.*)"
    r"|^(?P<python>(?:\w+\.)*\w*(?:Error|Exception|Failure)(?:: .*)?)$"
    r"|^(?P<rust>error(?:\[E\d+\])?: .*)"
    r"|^thread '.*' .*(?P<panic>panicked at .*)"
    r"|^\s+(?P<go>\S+_test\.go:\d+: .*)"
    r"|^(?P<build>\S+\.(?:go|ts|tsx|js|c|cc|cpp|java|rb):\d+(?::\d+)?:? .*)"
    r"|^\s*(?P<js>(?:\w*Error|AssertionError)(?: \[\w+\])?: .*)"
    r"|^(?P<shell>(?:sh|bash|/bin/sh|make)\S*: .*)"
    r"|^(?P<npm>npm (?:ERR!|error) .*)"
)
_FAILURE = re.compile(
    r"^(?:FAILED|ERROR) (?P<pytest>\S+)"
    r"|^test (?P<cargo>\S+) \.\.\. FAILED"
    r"|^\s*--- FAIL: (?P<go>\S+)"
    r"|^\s*not ok \d+ (?:- )?(?P<tap>.{1,200})"
    r"|^(?P<unittest>(?:FAIL|ERROR): .{1,200})"
    r"|^\s*(?:\u2716|\u2715|\u00d7) (?!failing tests:$)(?P<js>.{1,200}?)(?: \([\d.]+ ?m?s\))?$"
    r"|^(?P<checker>\S+:\d+(?::\d+)?: error: .{1,300})"
)
_PLACE = re.compile(r":\d+(?::\d+)?:")


@dataclass(kw_only=True)
class RunnerCounts:
    """How many tests passed, failed and did not run (skipped, deselected, expected to fail, only collected)."""

    passed: int = 0
    failed: int = 0
    not_run: int = 0

    def add(self, word: str, number: int) -> None:
        """Count tests under the word by which a runner calls them."""
        if word in _PASSED:
            self.passed += number
        elif word in _FAILED:
            self.failed += number
        elif word not in _IGNORED:
            self.not_run += number


def runner_of(arguments: Mapping[str, Any]) -> str:
    """The test runner that a command starts for certain, whose summary is missed where there is none; else empty."""
    words = [str(word) for word in arguments.get("args") or ()]
    command = arguments.get("cmd")
    if command == "uv-run" and words:
        command, words = words[0], words[1:]
    if command in ("pytest", "python-pytest"):
        return "pytest"
    if command == "python" or words[:1] == ["-m"]:
        module = _python_module(words)
        return module if module in ("pytest", "unittest") else ""
    if command in ("cargo", "go") and words[:1] == ["test"] and not {"--no-run", "-c", "-list", "--help"} & set(words):
        return f"{command} test"
    if command == "npm-test":
        return next((name for name, options in JS_OPTIONS.items() if tuple(words[-len(options) :]) == options), "")
    return "node" if command == "node-test" or (command == "node" and "--test" in words) else ""


def _python_module(words: Sequence[str]) -> str:
    """The module that `python` runs by these arguments; empty for a script or a text."""
    for at, word in enumerate(words):
        if word == "-m":
            return words[at + 1] if at + 1 < len(words) else ""
        if word.startswith("-m"):
            return word[2:].removeprefix("=")
        if word.startswith("-c") or not word.startswith("-"):
            return ""
    return ""


def report_text(result: ToolEnvelope) -> str:
    """Return what the command printed, without colours and reports for machines; of `go test -json` what it means."""
    return _ESCAPES.sub("", go_text(f"{result.stdout}\n{split_report(result.stderr)[0]}"))


@dataclass(kw_only=True)
class _Reader:
    """Adds up what the lines of one output say."""

    counts: RunnerCounts = field(default_factory=RunnerCounts)
    said: bool = False
    """Whether any line was a report."""
    unittest: int | None = None
    """Tests of a unittest run whose result line is to come."""
    go_packages: int = 0
    """Go packages that passed; each stands for at least one test."""
    go_tests: bool = False
    gradle_tasks: int = 0
    """Gradle's test tasks that ran, or need not run again; Gradle prints no summary of tests that pass."""
    failed_lines: int = 0
    tap: RunnerCounts = field(default_factory=RunnerCounts)
    tap_plan: int | None = None

    def take(self, line: str) -> None:
        """Read one line."""
        self.said = any([self._python(line), self._compiled(line), self._javascript(line), self.said])
        if FAILED.search(line) is not None:
            self.failed_lines += 1
            if line == "Result: FAIL":
                self.counts.failed, self.said = self.counts.failed + 1, True
        elif (task := GRADLE.match(line)) is not None:
            self._gradle(task["how"] or "")
        elif (found := TAP.match(line)) is not None:
            self._tap(found)

    def _gradle(self, how: str) -> None:
        self.said = True
        if how == " FAILED":
            self.failed_lines += 1
        elif how not in (" NO-SOURCE", " SKIPPED"):
            self.gradle_tasks += 1

    def _tap(self, found: re.Match[str]) -> None:
        if found["plan"] is not None:
            self.tap_plan = int(found["plan"])
        elif TAP_DIRECTIVE.search(found["rest"]):
            self.tap.not_run += 1
        elif found["bad"]:
            self.tap.failed += 1
        else:
            self.tap.passed += 1

    def _python(self, line: str) -> bool:
        if (found := _PYTEST.match(line)) is not None and _TEST_WORD.search(found[1]) is not None:
            self._words(found[1])
        elif _PYTEST_NONE.match(line) is not None:
            # "2 tests collected, 1 error": only what went wrong counts.
            self.counts.failed += sum(map(int, _ERRORS.findall(line)))
        elif (found := _UNITTEST.match(line)) is not None:
            self.close()
            self.unittest = int(found[1])
        elif self.unittest is not None and (found := _UNITTEST_END.match(line)) is not None:
            self._unittest_end(found[1] or "")
        else:
            return False
        return True

    def _unittest_end(self, details: str) -> None:
        told = {name.strip(): int(number) for name, _, number in (part.partition("=") for part in details.split(","))
                if number.strip().isdigit()}  # fmt: skip
        failed = sum(told.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
        not_run = sum(told.get(name, 0) for name in ("skipped", "expected failures"))
        self.counts.failed += failed
        self.counts.not_run += not_run
        self.counts.passed += max(0, (self.unittest or 0) - failed - not_run)
        self.unittest = None

    def _compiled(self, line: str) -> bool:
        if (found := _CARGO.match(line)) is not None:
            for word, number in zip(("passed", "failed", "ignored"), found.groups(), strict=True):
                self.counts.add(word, int(number))
        elif (found := _GO_TEST.match(line)) is not None:
            self.go_tests = True
            self.counts.add({"PASS": "passed", "FAIL": "failed"}.get(found[1], "skipped"), 1)
        elif (found := _GO_PACKAGE.match(line)) is not None:
            if found[1] == "FAIL":
                self.counts.failed += 1
            elif found[1] and "[no tests to run]" not in found[2]:
                self.go_packages += 1
        else:
            return False
        return True

    def _javascript(self, line: str) -> bool:
        if (found := _NODE.match(line)) is not None:
            self.counts.add(found[1], int(found[2]))
        elif (found := _JEST.match(line)) is not None and _COUNT.search(found[1]) is not None:
            self._words(found[1])
        elif (found := _JEST_FILES.match(line)) is not None:
            self.counts.failed += int(found[1])
        elif (found := _MOCHA.match(line)) is not None:
            self.counts.add(found[2], int(found[1]))
        elif (found := _NEXTEST.match(line)) is not None:
            self._words(found[1])
        elif (found := next((match for known in SUMMARIES if (match := known.search(line))), None)) is not None:
            self._other(found.groupdict())
        else:
            return NOTHING.search(line) is not None
        return True

    def _other(self, told: Mapping[str, str | None]) -> None:
        if told.get("words") is not None:
            self._words(str(told["words"]))
            return
        number = {name: int(value) for name, value in told.items() if value is not None}
        failed = number.get("failed", 0) + number.get("errors", 0)
        skipped = number.get("skipped", 0)
        self.counts.failed += failed
        self.counts.not_run += skipped
        self.counts.passed += number.get("passed", max(0, number.get("ran", 0) - failed - skipped))

    def _words(self, text: str) -> None:
        for number, word in _COUNT.findall(text):
            self.counts.add(word, int(number))

    def close(self) -> None:
        """Count what no later line said otherwise of."""
        self.counts.passed += self.unittest or 0
        self.unittest = None

    def end(self) -> None:
        """Count what says less than a summary, where there was none."""
        self.close()
        if not self.go_tests:
            self.counts.passed += self.go_packages
        counted = self.counts.passed or self.counts.failed or self.counts.not_run
        if self.tap_plan is not None and not counted and not self.said:
            ran = self.tap.passed + self.tap.failed + self.tap.not_run
            self.counts = self.tap
            self.counts.failed += max(0, self.tap_plan - ran)  # what is planned and did not run
            self.said = True
        elif self.failed_lines and not counted:
            self.counts.failed, self.said = self.failed_lines, True
        if not self.counts.passed and not self.counts.failed:
            self.counts.passed += self.gradle_tasks


def read_counts(text: str) -> RunnerCounts | None:
    """Return the sum of what the runners in an output report; `None` where none of them speaks."""
    reader = _Reader()
    for line in _lines(text):
        reader.take(line)
    reader.end()
    return reader.counts if reader.said else None


def counts_by_dots(text: str) -> RunnerCounts | None:
    """Count tests by pytest's progress: quiet twice, as by `addopts`, it prints nothing else."""
    dots = "".join(found[1] for line in _lines(text) if (found := _PYTEST_DOTS.match(line)) is not None)
    if not dots:
        return None
    failed = dots.count("F") + dots.count("E")
    return RunnerCounts(passed=dots.count("."), failed=failed, not_run=len(dots) - dots.count(".") - failed)


def first_error(text: str) -> str:
    """Return the first line that says what went wrong; empty where none does."""
    for line in _lines(text):
        found = _FIRST_ERROR.match(line)
        if found is not None:
            return cut(next(part for part in found.groups() if part).strip())
    return ""


def names_of_failures(text: str) -> list[str]:
    """Return the names of what failed, as the usual test programs and checkers print them, each once and in order.

    Line numbers are left out: a change moves them.
    """
    # Line by line: `\s*` would else run over all empty lines that follow, from each of them.
    matches = (match for line in _lines(text) if (match := _FAILURE.match(line)) is not None)
    found = (next(name for name in match.groups() if name) for match in matches)
    return list(dict.fromkeys(_PLACE.sub(":", name).strip() for name in found))


def _lines(text: str) -> Iterator[str]:
    return (line[:MAX_LINE] for line in text.splitlines() if line and not line.isspace())


def cut(text: str) -> str:
    """Return the text, cut to the length of a reason."""
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"
