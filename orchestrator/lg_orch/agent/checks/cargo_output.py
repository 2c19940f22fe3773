"""Compares the summaries that `cargo test` printed with the test programs that it started. Pure.

`cargo test` has no report for machines in its stable versions, so a test program can print a summary of its own and end
with status 0. What cargo itself prints names each program that it starts, and each program first says how many tests it
runs. A summary without such a beginning, with other figures, or of a program that nobody started is not the runner's.

Not covered: a test that prints everything just as the runner would. Code in the same process can always do that, with
every runner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
_LOUD = frozenset({"--nocapture", "--no-capture", "--show-output", "-q", "--quiet", "--format=terse", "--format", "-Z"})


@dataclass(kw_only=True)
class _Programs:
    """What the test programs said so far."""

    quiet: bool
    """Whether single tests may go without a line of their own."""
    announced: int | None = None
    reported: int = 0
    count: int = 0

    def begin(self, tests: int) -> str:
        """Take the first line of a program."""
        wrong = self.unfinished()
        self.announced, self.reported = tests, 0
        self.count += 1
        return wrong

    def end(self, told: int) -> str:
        """Take the summary of a program."""
        announced, self.announced = self.announced, None
        if announced is None:
            return "a summary was printed that belongs to no test program"
        if told != announced:
            return f"a test program announced {announced} tests, and a summary speaks of {told}"
        few = not self.quiet and self.reported < told
        return f"a summary speaks of {told} tests, and {self.reported} of them were reported" if few else ""

    def unfinished(self) -> str:
        """Say that a program has not come to its summary."""
        if self.announced is None:
            return ""
        return f"a test program announced {self.announced} tests and printed no summary of them"


def disagreement(stdout: str, stderr: str, words: Iterable[str]) -> str:
    """Say what in the output of `cargo test` contradicts its summaries; empty if nothing does."""
    programs = _Programs(quiet=bool(set(words) & _LOUD))
    for whole in stdout.splitlines():
        line, wrong = whole[:MAX_LINE], ""
        if (begin := _BEGIN.match(line)) is not None:
            wrong = programs.begin(int(begin[1]))
        elif (end := _END.match(line)) is not None:
            wrong = programs.end(sum(map(int, end.groups())))
        elif _RESULT.match(line) is not None:
            programs.reported += 1
        if wrong:
            return wrong
    return programs.unfinished() or _programs_disagree(stderr, programs.count)


def _programs_disagree(stderr: str, programs: int) -> str:
    lines = [line[:MAX_LINE] for line in stderr.splitlines()]
    started = sum(1 for line in lines if _STARTED.match(line))
    # One line of doc-tests may stand for several programs. With `--quiet`, cargo names none.
    if not started or any(_DOCS.match(line) for line in lines) or programs <= started:
        return ""
    return f"cargo started {started} test programs, and {programs} reported"
