"""Compares the summaries that `cargo test` printed with the test programs that it started. Pure.

`cargo test` has no report for machines in its stable versions, so a test program can print a summary of its own and end
with status 0. What cargo itself prints names each program that it starts, and each program first says how many tests it
runs. A summary without such a beginning, with other figures, or of a program that nobody started is not the runner's.

Not covered: a test that prints everything just as the runner would. Code in the same process can always do that, with
every runner.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LINE = 500
_STARTED = re.compile(r"^\s{0,20}(?:Running (?:unittests |tests/|benches/|examples/|\S+ \()|Doc-tests )")
_DOCS = re.compile(r"^\s{0,20}Doc-tests ")
_BEGIN = re.compile(r"^running (\d{1,9}) tests?$")
_END = re.compile(
    r"^test result: \w+\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored; (\d{1,9}) measured; \d{1,9} filtered"
)
_RESULT = re.compile(r"^test .{1,400} \.\.\. (?:ok|FAILED|ignored\b.*|bench:.*)$")
_LOUD = ("--nocapture", "--no-capture", "--show-output", "-q", "--quiet", "--format=terse", "--format", "-Z")


def disagreement(stdout: str, stderr: str, words: Iterable[str]) -> str:
    """Say what in the output of `cargo test` contradicts its summaries; empty if nothing does."""
    quiet = set(words) & set(_LOUD)
    announced: int | None = None
    programs, seen = 0, 0
    for line in stdout.splitlines():
        line = line[:MAX_LINE]
        if (begin := _BEGIN.match(line)) is not None:
            if announced is not None:
                return f"a test program announced {announced} tests and printed no summary of them"
            announced, seen = int(begin[1]), 0
            programs += 1
        elif (end := _END.match(line)) is not None:
            told = sum(map(int, end.groups()))
            if announced is None:
                return "a summary was printed that belongs to no test program"
            if told != announced:
                return f"a test program announced {announced} tests, and a summary speaks of {told}"
            if not quiet and seen < told:
                return f"a summary speaks of {told} tests, and {seen} of them were reported"
            announced = None
        elif _RESULT.match(line) is not None:
            seen += 1
    if announced is not None:
        return f"a test program announced {announced} tests and printed no summary of them"
    return _programs_disagree(stderr, programs)


def _programs_disagree(stderr: str, programs: int) -> str:
    lines = [line[:MAX_LINE] for line in stderr.splitlines()]
    started = sum(1 for line in lines if _STARTED.match(line))
    # One line of doc-tests may stand for several programs. With `--quiet`, cargo names none.
    if not started or any(_DOCS.match(line) for line in lines) or programs <= started:
        return ""
    return f"cargo started {started} test programs, and {programs} reported"
