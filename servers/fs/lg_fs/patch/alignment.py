"""Finds the lines that two versions of a text have in common, in bounded time for any texts.

Equal beginnings and ends are taken first, then the longest chain of lines that both versions have exactly once, and so
on between these. What is left is compared exactly as long as the budget of steps lasts; after that it counts as
replaced. The result is always a correct comparison, only perhaps not the shortest.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

_BUDGET = 2_000_000
_MAX_ROUNDS = 20
_MAX_EDITS = 400

Span = tuple[int, int, int, int]
Opcode = tuple[str, int, int, int, int]


def _no_check() -> None:
    """Never stop the work."""


def opcodes(old: Sequence[Hashable], new: Sequence[Hashable], check: Callable[[], None] = _no_check) -> list[Opcode]:
    """Return how `old` becomes `new`, as (tag, a, b, c, d): `old[a:b]` and `new[c:d]` are equal or replaced.

    Tags are `equal`, `replace`, `delete` and `insert`. `check` is called regularly and may raise to stop the work.
    """
    result: list[Opcode] = []
    at_old = at_new = 0
    for start_old, start_new, length in [*_Alignment(old, new, check).blocks(), (len(old), len(new), 0)]:
        if at_old < start_old or at_new < start_new:
            tag = "insert" if at_old == start_old else "delete" if at_new == start_new else "replace"
            result.append((tag, at_old, start_old, at_new, start_new))
        if length:
            result.append(("equal", start_old, start_old + length, start_new, start_new + length))
        at_old, at_new = start_old + length, start_new + length
    return result


def grouped(codes: Sequence[Opcode], context: int) -> list[list[Opcode]]:
    """Cut a comparison into the hunks of a diff, each with that many equal lines around its changes."""
    groups: list[list[Opcode]] = []
    group: list[Opcode] = []
    for number, (tag, a, b, c, d) in enumerate(codes):
        if tag != "equal":
            group.append((tag, a, b, c, d))
            continue
        last = number == len(codes) - 1
        if not group:
            if not last:
                group.append((tag, max(a, b - context), b, max(c, d - context), d))
        elif last or b - a > 2 * context:
            group.append((tag, a, min(b, a + context), c, min(d, c + context)))
            groups.append(group)
            group = [] if last else [(tag, max(a, b - context), b, max(c, d - context), d)]
        else:
            group.append((tag, a, b, c, d))
    return [*groups, group] if group else groups


class _Alignment:
    def __init__(self, old: Sequence[Hashable], new: Sequence[Hashable], check: Callable[[], None]) -> None:
        numbers: dict[Hashable, int] = {}
        self._old = [numbers.setdefault(line, len(numbers)) for line in old]
        self._new = [numbers.setdefault(line, len(numbers)) for line in new]
        self._check = check
        self._budget = _BUDGET
        self._pairs: list[tuple[int, int, int]] = []

    def blocks(self) -> list[tuple[int, int, int]]:
        """Return runs of equal lines as (index in old, index in new, length), in order, none touching the next."""
        spans: list[Span] = [(0, len(self._old), 0, len(self._new))]
        for _ in range(_MAX_ROUNDS):
            spans = [part for span in spans for part in self._split(span)]
            if not spans:
                break
        merged: list[tuple[int, int, int]] = []
        for a, c, length in sorted(self._pairs):
            if merged and merged[-1][0] + merged[-1][2] == a and merged[-1][1] + merged[-1][2] == c:
                merged[-1] = (*merged[-1][:2], merged[-1][2] + length)
            else:
                merged.append((a, c, length))
        return merged

    def _split(self, span: Span) -> list[Span]:
        """Record what the span certainly has in common; return the parts that may have more."""
        self._check()
        a, b, c, d = self._trimmed(span)
        if a == b or c == d:
            return []
        anchors = self._unique(a, b, c, d)
        if not anchors:
            self._compared(a, b, c, d)
            return []
        parts: list[Span] = []
        for at, to in anchors:
            if a < at or c < to:
                parts.append((a, at, c, to))
            self._pairs.append((at, to, 1))
            a, c = at + 1, to + 1
        return [*parts, (a, b, c, d)]

    def _trimmed(self, span: Span) -> Span:
        a, b, c, d = span
        begin = a
        while a < b and c < d and self._old[a] == self._new[c]:
            a, c = a + 1, c + 1
        if a > begin:
            self._pairs.append((begin, c - (a - begin), a - begin))
        end = b
        while a < b and c < d and self._old[b - 1] == self._new[d - 1]:
            b, d = b - 1, d - 1
        if b < end:
            self._pairs.append((b, d, end - b))
        return a, b, c, d

    def _unique(self, a: int, b: int, c: int, d: int) -> list[tuple[int, int]]:
        """Return the longest chain of lines that occur once on each side, in order on both."""
        in_old, in_new = Counter(self._old[a:b]), Counter(self._new[c:d])
        places = {line: at for at, line in enumerate(self._new[c:d], c) if in_new[line] == 1}
        both = [(at, places[line]) for at, line in enumerate(self._old[a:b], a) if in_old[line] == 1 and line in places]
        ends: list[int] = []
        chosen: list[int] = []
        before: list[int] = []
        for number, (_, to) in enumerate(both):
            depth = bisect.bisect_left(ends, to)
            before.append(chosen[depth - 1] if depth else -1)
            if depth == len(ends):
                ends.append(to)
                chosen.append(number)
            else:
                ends[depth], chosen[depth] = to, number
        chain: list[tuple[int, int]] = []
        number = chosen[-1] if chosen else -1
        while number >= 0:
            chain.append(both[number])
            number = before[number]
        return chain[::-1]

    def _compared(self, a: int, b: int, c: int, d: int) -> None:
        """Compare without landmarks: the fewest edits, while the budget lasts."""
        trace: list[dict[int, int]] = []
        reached = {1: 0}
        height, width = b - a, d - c
        for edits in range(min(height + width, _MAX_EDITS) + 1):
            self._check()
            trace.append(dict(reached))
            for diagonal in range(-edits, edits + 1, 2):
                down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
                x = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
                y = start = x - diagonal
                while x < height and 0 <= y < width and self._old[a + x] == self._new[c + y]:
                    x, y = x + 1, y + 1
                self._budget -= 1 + y - start
                reached[diagonal] = x
                if x >= height and y >= width:
                    self._trace_back(trace, a, c, x, y)
                    return
            self._budget -= len(reached)
            if self._budget < 0:
                return

    def _trace_back(self, trace: Sequence[dict[int, int]], a: int, c: int, x: int, y: int) -> None:
        for edits in range(len(trace) - 1, -1, -1):
            reached, diagonal = trace[edits], x - y
            down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
            before = diagonal + 1 if down else diagonal - 1
            start_x = reached[before]
            start_y = start_x - before
            run = min(x - start_x, y - start_y) if edits else min(x, y)
            if run > 0:
                self._pairs.append((a + x - run, c + y - run, run))
            x, y = start_x, start_y
