"""The summaries of test runners that are read line by line, and what they print when no test ran. Pure.

A pattern names what it counts: `ran`, `passed`, `failed`, `errors`, `skipped`; or `words`, as in "2 passed, 1 failed".
"""

from __future__ import annotations

import re

_N = r"\d{1,9}"
SUMMARIES = tuple(map(re.compile, (
    # RSpec, minitest, PHPUnit, Maven and Gradle, AVA, Bun, Deno: each says how many ran and how many of them failed.
    (rf"^(?P<ran>{_N}) examples?, (?P<failed>{_N}) failures?(?:, (?P<skipped>{_N}) pending)?"
     rf"(?:, (?P<errors>{_N}) errors? occurred outside)?"),
    (rf"^(?P<ran>{_N}) (?:runs|tests), {_N} assertions, (?P<failed>{_N}) failures, (?P<errors>{_N}) errors"
     rf"(?:, (?P<skipped>{_N}) skips)?"),
    rf"^OK \((?P<ran>{_N}) tests?, {_N} assertions?\)$",
    (rf"^Tests: (?P<ran>{_N}), Assertions: {_N}(?:, Errors: (?P<errors>{_N}))?(?:, Failures: (?P<failed>{_N}))?"
     rf"(?:, (?:PHPUnit )?(?:Warnings|Deprecations|Notices): {_N}){{0,6}}(?:, Skipped: (?P<skipped>{_N}))?"),
    (rf"^(?:\[\w+\] )?Tests run: (?P<ran>{_N}), Failures: (?P<failed>{_N}), Errors: (?P<errors>{_N})"
     rf", Skipped: (?P<skipped>{_N})$"),
    rf"^(?P<ran>{_N}) tests completed, (?P<failed>{_N}) failed",
    rf"^(?:ok|FAILED) \| (?P<passed>{_N}) passed(?: \([^()]*\))? \| (?P<failed>{_N}) failed\b",
    rf"^\s*(?P<passed>{_N}) tests? passed$",
    rf"^\s*(?P<failed>{_N}) tests? failed$",
    rf"^\s*(?P<failed>{_N}) (?:uncaught exceptions?|unhandled rejections?)$",
    rf"^\s(?P<passed>{_N}) pass$",
    rf"^\s(?P<failed>{_N}) fail$",
    rf"^(?P<ran>{_N}) specs?, (?P<failed>{_N}) failures?(?:, (?P<skipped>{_N}) pending)?",
    # Jest's snapshots, Vitest's errors outside of tests, Cypress, Karma, tap.
    rf"^Snapshots:\s+(?P<failed>{_N}) failed",
    rf"^\s*Errors\s+(?P<failed>{_N}) errors?$",
    rf"^\s*Passing:\s+(?P<passed>{_N})$",
    rf"^\s*Failing:\s+(?P<failed>{_N})$",
    rf"^\S.{{0,80}}: Executed (?P<ran>{_N}) of (?P=ran) (?:\((?P<failed>{_N}) FAILED\)|SUCCESS)",
    rf"^# \{{ total: (?P<ran>{_N})(?:, pass: {_N})?(?:, fail: (?P<failed>{_N}))?",
    rf"^Asserts:\s+(?P<words>{_N} (?:failed|passed).*)$",
    # ExUnit and bats, gotestsum, Ginkgo, prove, doctest.
    rf"^(?P<ran>{_N}) tests?, (?P<failed>{_N}) failures?(?:, (?P<skipped>{_N}) (?:excluded|skipped))?",
    (rf"^DONE (?P<ran>{_N}) tests?(?:, (?P<skipped>{_N}) skipped)?(?:, (?P<failed>{_N}) failures?)?"
     rf"(?:, (?P<errors>{_N}) errors?)? in "),
    (rf"^(?:FAIL|SUCCESS)! -- (?P<passed>{_N}) Passed \| (?P<failed>{_N}) Failed \|(?: {_N} Flaked \|)? "
     rf"(?P<skipped>{_N}) Pending"),
    rf"^Files={_N}, Tests=(?P<passed>{_N}),",
    rf"^(?P<passed>{_N}) passed and (?P<failed>{_N}) failed\.$",
    rf"^\*\*\*Test Failed\*\*\* (?P<failed>{_N}) failures?\.",
    # Cucumber, behave, Robot Framework, ward.
    rf"^{_N} scenarios? \((?P<words>.*)\)$",
    rf"^(?P<passed>{_N}) scenarios? passed, (?P<failed>{_N}) failed, (?P<skipped>{_N}) skipped",
    rf"^{_N} tests?, (?P<passed>{_N}) passed, (?P<failed>{_N}) failed",
    rf"^Results: (?P<words>{_N} (?:failed|passed).*)$",
    # .NET, old and new; CTest, GoogleTest, Catch2, doctest for C++, Meson, Automake.
    (rf"^(?:Passed|Failed|Skipped)!\s+- Failed:\s+(?P<failed>{_N}), Passed:\s+(?P<passed>{_N})"
     rf", Skipped:\s+(?P<skipped>{_N})"),
    rf"^\s+Passed: (?P<passed>{_N})$",
    rf"^\s+Failed: (?P<failed>{_N})$",
    rf"^\s+succeeded: (?P<passed>{_N})$",
    rf"^\s+failed: (?P<failed>{_N})$",
    rf"^{_N}% tests passed, (?P<failed>{_N}) tests? failed out of (?P<ran>{_N})",
    rf"^\[  PASSED  \] (?P<passed>{_N}) tests?\.",
    rf"^\[  FAILED  \] (?P<failed>{_N}) tests?, listed below",
    rf"^\[  SKIPPED \] (?P<skipped>{_N}) tests?, listed below",
    rf"^(?:\[doctest\] )?test cases:\s+{_N} \|\s+(?P<words>.*)$",
    rf"^All tests passed \({_N} assertions? in (?P<passed>{_N}) test cases?\)",
    rf"^Ok:\s+(?P<passed>{_N})\s*$",
    rf"^(?:Fail|Timeout|Unexpected Pass):\s+(?P<failed>{_N})\s*$",
    rf"^# PASS:\s+(?P<passed>{_N})$",
    rf"^# (?:FAIL|ERROR|XPASS):\s+(?P<failed>{_N})$",
    # sbt, Swift (both of its libraries), Dart, Zig, busted, tasty, Julia, testthat, clojure.test, Bazel.
    (rf"^(?:\[\w+\] )?Tests: succeeded (?P<passed>{_N}), failed (?P<failed>{_N}), canceled {_N}"
     rf", ignored (?P<skipped>{_N})"),
    rf"^\s+Executed (?P<ran>{_N}) tests?, with (?:(?P<skipped>{_N}) tests? skipped and )?(?P<failed>{_N}) failures?",
    rf"^\S+ Test run with (?P<ran>{_N}) tests? .{{0,80}}failed after .{{1,40}} with (?P<failed>{_N}) issues?",
    rf"^\S+ Test run with (?P<passed>{_N}) tests? .{{0,80}}passed after ",
    (rf"^\d+:\d\d \+(?P<passed>{_N})(?: ~(?P<skipped>{_N}))?(?: -(?P<failed>{_N}))?: "
     r"(?:All tests passed!|Some tests failed\.|All tests skipped\.)"),
    rf"^(?P<passed>{_N}) passed; (?P<skipped>{_N}) skipped; (?P<failed>{_N}) failed\.$",
    rf"^All (?P<passed>{_N}) tests? passed\b",
    (rf"^(?P<passed>{_N}) success(?:es)? / (?P<failed>{_N}) failures? / (?P<errors>{_N}) errors? / "
     rf"(?P<skipped>{_N}) pending"),
    rf"^(?P<failed>{_N}) out of (?P<ran>{_N}) tests failed",
    rf"did not pass: (?P<passed>{_N}) passed, (?P<failed>{_N}) failed, (?P<errors>{_N}) errored",
    rf"^\[ FAIL (?P<failed>{_N}) \| WARN {_N} \| SKIP (?P<skipped>{_N}) \| PASS (?P<passed>{_N}) \]",
    rf"^Ran (?P<passed>{_N}) tests? containing {_N} assertions?\.",
    rf"^(?P<failed>{_N}) failures?, (?P<errors>{_N}) errors?\.$",
    rf"^Executed {_N} out of {_N} tests?: .{{0,80}}?(?P<failed>{_N}) fails?\b",
    rf"^Executed {_N} out of (?P<passed>{_N}) tests?: {_N} tests? pass",
)))  # fmt: skip
NOTHING = re.compile(
    r"matched no packages$|^no packages to test$|Missing script: \"?test\"?|Error: no test specified"
    r"|^No test(?: file)?s found\b|Error: No test files found|^No tests executed!|^(?:\[\w+\] )?No tests to run\.$"
    r"|^No test (?:is available in|matches the given testcase filter)|^No tests were found!!!$|^No tests ran\b"
    r"|^Result: NOTESTS$|^(?:Incomplete: )?No specs found\b|^All tests skipped\.$"
)
FAILED = re.compile(
    r"^\s{0,4}\S{1,100}: FAIL(?: code \d+|\b.{0,20}\u2716)|^ERROR:\s+\S{1,100}: commands failed$"
    r"|^nox > (?:Session \S{1,100} failed\.|\* \S{1,100}: failed$)"
    r"|^make\S*: (?:\*\*\* )?\[.{0,200}(?:test|check)\S{0,40}\] Error \d+"
    r"|^There were failing tests\b|<<< (?:FAILURE|ERROR)!|^Result: FAIL$|^BUILD FAILED\b|\bBUILD FAILURE$"
    r"|^FAILURES!$|^ERRORS!$|^\S+ +FAILED in [\d.]+s"
)
"""What says without a number that something failed. It counts only where no summary was printed."""
GRADLE = re.compile(r"^> Task (?:\S{1,200}:)?:?test(?P<how> FAILED| NO-SOURCE| SKIPPED| UP-TO-DATE| FROM-CACHE)?$")
TAP = re.compile(r"^(?P<bad>not )?ok \d{1,9}\b(?P<rest>.*)$|^1\.\.(?P<plan>\d{1,9})\b")
TAP_DIRECTIVE = re.compile(r"# ?(?:skip|todo)\b", re.IGNORECASE)
