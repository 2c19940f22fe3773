"""The results of a search: excerpts with line and context, counts, or the distinct values of a group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lg_policy.errors import TooLarge
from lg_policy.jobs import Job
from lg_policy.limits import cut_text

MAX_LINE = 500
MAX_VALUE = 300
MAX_VALUES = 50_000
_MAX_WINDOW, _MIN_WINDOW = 1 << 18, 1 << 12
_SHORT = 1 << 12
# Bytes times instructions of the compiled expression, of which the engine does some hundred million in a second when
# it is slow: what one step aims at, and what it may take at most.
_STEP = 1 << 27
_MAX_STEP = 1 << 32


def hits(regex: Any, text: bytes, job: Job, *, multiline: bool) -> Iterator[Any]:
    """Yield all matches in a file.

    One step of the engine cannot be interrupted, so a large text is searched in windows of whole lines. That is exact
    as long as a match cannot span lines. Empty matches after the last line break do not count. Raises as
    `Job.check_time`, and `TooLarge` for a line (with `multiline`, a file) too long for such a complex expression.
    """
    window = window_size(regex)
    begin = 0
    while begin < len(text):
        end = len(text) if multiline else text.find(b"\n", begin + window) + 1 or len(text)
        size = end - begin
        if size * regex.programsize > _MAX_STEP:
            raise TooLarge("a line is too long for this regex")
        if begin or size > _MAX_WINDOW:
            job.check_time()
        weight = 1 + size // _SHORT
        for match in regex.finditer(text, begin, end):
            job.step(weight)
            if match.start() == end and text[end - 1] == 0x0A:
                continue  # it belongs to the next window, or to no line at all
            yield match
        begin = end


def window_size(regex: Any) -> int:
    """Return how many bytes the engine may read in one step, so that the slowest step stays short."""
    return int(max(_MIN_WINDOW, min(_MAX_WINDOW, _STEP // max(1, regex.programsize))))


@dataclass(kw_only=True)
class FileHits:
    """The matches of one file. `count` is the number of matches known: those quoted, or all when only counting."""

    path: str
    count: int = 0
    matches: list[dict[str, Any]] = field(default_factory=list)


class Excerpts:
    """Finds matching lines. Several hits that begin on one line are one match, as with grep."""

    def __init__(self, regex: Any, *, context: int, multiline: bool) -> None:
        self._regex = regex
        self._context = context
        self._multiline = multiline

    def count(self, text: bytes, job: Job) -> int:
        """Return the number of matches in a file."""
        return sum(1 for _ in self._lines(text, job))

    def read(
        self, path: str, text: bytes, seen: int, max_matches: int, max_bytes: int, job: Job
    ) -> tuple[FileHits, int, bool]:
        """Quote matches after the first `seen`; return them, their size in bytes, and whether there are more."""
        found = FileHits(path=path)
        size = 0
        counter = _LineCounter(text)
        for number, (start, end, line_start) in enumerate(self._lines(text, job)):
            if number < seen:
                continue
            if len(found.matches) >= max_matches or size >= max_bytes:
                return found, size, True
            quoted = self._quote(text, counter.line_at(line_start), start, end, line_start)
            size -= _join(found.matches[-1], quoted) if found.matches else 0
            size += sum(map(len, (*quoted["before"], quoted["text"], *quoted["after"]))) + 40
            found.matches.append(quoted)
            found.count += 1
        return found, size, False

    def _lines(self, text: bytes, job: Job) -> Iterator[tuple[int, int, int]]:
        """Return the first hit of each line: start, end, start of its line."""
        previous = -1
        looked_at = 0  # no part of a long line is looked at twice
        for match in hits(self._regex, text, job, multiline=self._multiline):
            start, end = match.span()
            line_start = text.rfind(b"\n", looked_at, start) + 1 or max(previous, 0)
            looked_at = start
            if line_start == previous:
                continue
            previous = line_start
            yield start, end, line_start

    def _quote(self, text: bytes, line: int, start: int, end: int, line_start: int) -> dict[str, Any]:
        stop = max(start, end - 1) if self._multiline else start
        line_end = text.find(b"\n", stop)
        line_end = len(text) if line_end < 0 else line_end
        column = len(text[line_start:start].decode("utf-8", "replace")) + 1
        return {
            "line": line,
            "column": column,
            "text": _shorten(text[line_start:line_end], start - line_start),
            "before": self._before(text, line_start),
            "after": self._after(text, line_end),
        }

    def _before(self, text: bytes, line_start: int) -> list[str]:
        lines: list[str] = []
        end = line_start - 1
        while len(lines) < self._context and end >= 0:
            start = text.rfind(b"\n", 0, end) + 1
            lines.append(_shorten(text[start:end], 0))
            end = start - 1
        return lines[::-1]

    def _after(self, text: bytes, line_end: int) -> list[str]:
        lines: list[str] = []
        start = line_end + 1
        while len(lines) < self._context and start < len(text):
            end = text.find(b"\n", start)
            end = len(text) if end < 0 else end
            lines.append(_shorten(text[start:end], 0))
            start = end + 1
        return lines


def after_of(match: dict[str, Any]) -> int:
    """Return the number of the line that follows a match's own text."""
    return int(match["line"]) + str(match["text"]).count("\n") + 1


def _join(above: dict[str, Any], match: dict[str, Any]) -> int:
    """Cut the contexts of two neighbours, so that each line stands in one of them only; return what that saves above.

    A line between them belongs to the upper one. A match is never a line of its neighbour's context.
    """
    room = max(0, match["line"] - after_of(above))
    cut = above["after"][room:]
    above["after"] = above["after"][:room]
    free = max(0, room - len(above["after"]))
    match["before"] = match["before"][max(0, len(match["before"]) - free) :]
    return sum(map(len, cut))


class _LineCounter:
    """Counts line numbers at growing offsets, reading each stretch once."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._place = 0
        self._line = 1

    def line_at(self, place: int) -> int:
        self._line += self._text.count(b"\n", self._place, place)
        self._place = place
        return self._line


@dataclass(kw_only=True)
class _Value:
    count: int
    files: int
    path: str
    line: int
    last: str


class Values:
    """Counts the distinct texts of the first group (or of the whole match), with the first place of each."""

    def __init__(self, regex: Any, *, multiline: bool) -> None:
        self._regex = regex
        self._multiline = multiline
        self._group = 1 if regex.groups else 0
        self._values: dict[str, _Value] = {}

    @property
    def distinct(self) -> int:
        """Return the number of different values so far."""
        return len(self._values)

    @property
    def full(self) -> bool:
        """Return whether no more values fit into memory."""
        return len(self._values) >= MAX_VALUES

    def add(self, path: str, text: bytes, job: Job) -> int:
        """Count the hits of one file and return their number."""
        counter = _LineCounter(text)
        count = 0
        for match in hits(self._regex, text, job, multiline=self._multiline):
            found = match.group(self._group)
            if found is None:
                continue
            count += 1
            value = cut_text(found.decode("utf-8", "replace"), MAX_VALUE)[0]
            known = self._values.get(value)
            if known is None:
                self._values[value] = _Value(
                    count=1, files=1, path=path, line=counter.line_at(match.start(self._group)), last=path
                )
            else:
                known.count += 1
                known.files += known.last != path
                known.last = path
            if self.full:
                break
        return count

    def top(self, limit: int) -> list[dict[str, Any]]:
        """Return the most frequent values."""
        ranked = sorted(self._values.items(), key=lambda item: (-item[1].count, item[0]))
        return [
            {"value": value, "count": row.count, "files": row.files, "path": row.path, "line": row.line}
            for value, row in ranked[:limit]
        ]


def _shorten(line: bytes, keep: int) -> str:
    """Decode a line; of a very long one only the part around the place `keep`, with marks where it was cut."""
    if len(line) <= MAX_LINE:
        return line.decode("utf-8", "replace").rstrip("\r")
    start = max(0, min(keep - MAX_LINE // 4, len(line) - MAX_LINE))
    part = line[start : start + MAX_LINE].decode("utf-8", "replace").strip("�")
    return f"{'…' if start else ''}{part}{'…' if start + MAX_LINE < len(line) else ''}"
