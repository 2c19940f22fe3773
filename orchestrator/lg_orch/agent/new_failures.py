"""Tells failures that were there before a change from those that came with it, by what the commands printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope

_FAILURE = re.compile(
    r"^(?:FAILED|ERROR) (?P<pytest>\S+)"
    r"|^test (?P<cargo>\S+) \.\.\. FAILED"
    r"|^\s*--- FAIL: (?P<go>\S+)"
    r"|^\s*not ok \d+ (?:- )?(?P<tap>.{1,200})"
    r"|^(?P<unittest>(?:FAIL|ERROR): .{1,200})"
    r"|^\s*(?:\u2716|\u2715|\u00d7) (?P<js>.{1,200}?)(?: \([\d.]+ ?m?s\))?$"
    r"|^(?P<checker>\S+:\d+(?::\d+)?: error: .{1,300})",
    re.MULTILINE,
)
_PLACE = re.compile(r":\d+(?::\d+)?:")


def failures(result: ToolEnvelope) -> frozenset[str]:
    """Names of what failed, as the usual test programs and checkers print them; empty when none is recognised.

    Line numbers are left out: a change moves them.
    """
    text = f"{result.stdout}\n{result.stderr}"
    found = (next(name for name in match.groups() if name) for match in _FAILURE.finditer(text))
    return frozenset(_PLACE.sub(":", name).strip() for name in found)


def only_old_failures(before: ToolEnvelope | None, after: ToolEnvelope) -> bool:
    """Whether a check that does not pass failed before as well, and nothing fails now that did not fail then.

    Where no failure can be told by name it is never so: equal exit codes alone prove nothing.
    """
    if before is None or before.exit_code in (None, 0) or after.exit_code != before.exit_code:
        return False
    now = failures(after)
    return bool(now) and now <= failures(before)


_NONE = re.compile(
    r"^=* ?no tests ran\b"
    r"|^(?:=+ )?\d+ (?:skipped|deselected)\b"
    r"|^NO TESTS RAN"
    r"|^Ran 0 tests\b"
    r"|^running 0 tests$"
    r"|^\?\s+\S+\s+\[no test files\]"
    r"|^ok\s+\S+\s.*\[no tests to run\]"
    r"|matched no packages$|^no packages to test$"
    r"|Missing script: \"?test\"?|Error: no test specified"
    r"|^(?:# |\u2139 )tests 0$"
    r"|^No test(?: file)?s found\b|Error: No test files found",
    re.MULTILINE,
)
_SOME = re.compile(
    r"^(?:=+ )?(?:\d+ \w+, )*[1-9]\d* (?:passed|failed|errors?|xfailed|xpassed)\b"
    r"|^Ran [1-9]\d* tests?\b"
    r"|^running [1-9]\d* tests?$"
    r"|^ok\s+\S+\s+(?!.*\[no tests to run\])"
    r"|^\s*--- (?:FAIL|PASS): |^FAIL\s+\S+(?!.*\[\w+ failed\])"
    r"|^(?:# |\u2139 )tests [1-9]"
    r"|^\s*Tests:?\s+.*\b[1-9]\d* (?:passed|failed|total)|^\s*[1-9]\d* (?:passing|failing)\b",
    re.MULTILINE,
)
"""What the usual test programs print when they found no test, and when they ran some."""


def tests_ran(result: ToolEnvelope) -> bool | None:
    """Whether a command ran tests, by its own words; `None` where they do not say."""
    text = f"{result.stdout}\n{result.stderr}"
    if _SOME.search(text):
        return True
    return False if _NONE.search(text) else None


def lost_tests(before: ToolEnvelope | None) -> bool:
    """Whether a command that runs no test now ran some before; where its words do not say, a success counts as that."""
    if before is None:
        return False
    ran = tests_ran(before)
    return before.exit_code == 0 if ran is None else ran
