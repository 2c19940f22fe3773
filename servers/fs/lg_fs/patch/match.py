"""Finds where a hunk belongs, and applies it there.

The lines of the hunk decide: first exactly, then ignoring trailing white space, then leading, then typographic
forms, then as `corrections` reads them. A level that fits in one place is used. One that fits in several is refused,
unless anchors or an exactly right line number choose. Nothing is ever guessed.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lg_fs.patch.corrections import corrected, loses_lines
from lg_fs.patch.dialects.codex_format import no_hunk_line
from lg_fs.patch.document import Document, TextLine
from lg_fs.patch.explain import applied_at, inserted_at, left_out, nearest
from lg_fs.patch.levels import EXACT, LEADING, MATCHES, ORDER, TRAILING, WorkingLines, normalised
from lg_fs.patch.line_runs import Step, find_runs, no_step
from lg_fs.patch.model import FileChange, Hunk
from lg_fs.patch.rewrite import rewritten
from lg_policy.errors import Conflict, InvalidArguments

_WORD = re.compile(r"\w")
_MAX_NAMED = 10
_MAX_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The changed file and the weakest level of matching that was needed."""

    document: Document
    match: str


@dataclass(frozen=True, kw_only=True)
class _Found:
    at: int
    level: str
    hunk: Hunk


def apply_hunks(document: Document, change: FileChange, step: Step = no_step) -> Applied:
    """Apply all hunks of a change. `step` counts the work and may raise to stop it.

    Raises `Conflict` if a hunk has no place or several; the error shows the nearest lines.
    """
    working = WorkingLines(document.lines)
    weakest = EXACT
    floor = shift = 0
    again = False
    final_newline = document.ends_with_newline
    eol = document.eol
    for number, given in enumerate(change.hunks, 1):
        step(1 + len(working.lines) // 1_000)
        finder = _Finder(document, change, number, working, step)
        if given.from_top:
            floor, again = 0, True
        # After an earlier operation has moved lines, numbers may be from before it or after it: they prove nothing.
        finder.numbers_count = not (again and shift)
        found = finder.find(floor if change.in_order else 0, shift)
        finder.refuse_second_insertion(found)
        hunk = found.hunk
        new = rewritten(working.lines, found.at, found.level, hunk, eol, change.path)
        old_count = len(hunk.old)
        reaches_end = found.at + old_count == len(working.lines)
        working.replace(found.at, old_count, new)
        floor = found.at + len(new)
        shift += len(new) - old_count
        weakest = max(weakest, found.level, key=MATCHES.index)
        if hunk.new_final_newline is not None and reaches_end:  # else the file keeps the end that it has
            final_newline = hunk.new_final_newline
    return Applied(document=_finished(document, working.lines, eol, final_newline), match=weakest)


def _finished(document: Document, lines: list[TextLine], eol: str, final_newline: bool) -> Document:
    fixed = [line if line.eol else TextLine(line.text, eol) for line in lines]
    if fixed:
        last = fixed[-1]
        fixed[-1] = TextLine(last.text, last.eol if final_newline else "")
        if not last.text and not final_newline:
            fixed.pop()  # an empty last line without a break is no line
    return Document(lines=tuple(fixed), encoding=document.encoding)


class _Finder:
    """Looks for the place of one hunk."""

    def __init__(self, document: Document, change: FileChange, number: int, working: WorkingLines, step: Step) -> None:
        self._document = document
        self._change = change
        self._number = number
        self._working = working
        self._hunk = change.hunks[number - 1]
        self._step = step
        self.numbers_count = True

    def find(self, floor: int, shift: int) -> _Found:
        lost = loses_lines(self._hunk)
        if lost is not None:
            raise InvalidArguments(
                f"{self._where()} would put {lost[:80]!r} in place of the lines that it removes",
                hint="write all new lines, or leave out of the hunk what does not change",
            )
        if not self._hunk.old:
            return _Found(at=self._insertion(floor), level=EXACT, hunk=self._hunk)
        for level in ORDER if self._hunk.unmarked is None else (EXACT, TRAILING):
            places = self._places(level, floor)
            if len(places) > 1:
                places = self._chosen(places, floor, shift)
            if len(places) > 1:
                raise self._ambiguous(places, level)
            if places:
                return _Found(at=places[0], level=level, hunk=self._hunk)
        if self._hunk.unmarked is not None:
            raise no_hunk_line(self._hunk.unmarked)
        meant = corrected(self._hunk, self._working, floor, self._step)
        if meant is None:
            raise self._missing(floor)
        if len(meant.places) > 1:
            raise self._ambiguous(meant.places, meant.kind)
        return _Found(at=meant.places[0], level=meant.kind, hunk=meant.hunk)

    def refuse_second_insertion(self, found: _Found) -> None:
        """Raise `Conflict` if the hunk only adds lines, and has been applied before: it would add them twice."""
        before = inserted_at(self._working, found.hunk, found.at)
        if before is not None:
            error = self._applied_before(before)
            raise Conflict(
                error.message,
                hint=f"{error.hint}. To add the lines once more, show the unchanged lines above and below their place",
            )

    def _places(self, level: str, floor: int) -> list[int]:
        texts = self._working.texts(level)
        old = normalised(self._hunk.old, level)
        first = max(floor, len(texts) - len(old)) if self._hunk.at_end else floor
        return find_runs(texts, old, first, self._step)

    def _chosen(self, places: list[int], floor: int, shift: int) -> list[int]:
        if self._hunk.anchors:
            nexts = (bisect.bisect_left(places, start) for start in self._anchored(floor))
            return sorted({places[n] for n in nexts if n < len(places)})
        if self._hunk.line is not None and self.numbers_count:
            line = self._hunk.line - 1 + shift
            n = bisect.bisect_left(places, line)
            if n < len(places) and places[n] == line:
                return [line]
        return places

    def _anchored(self, floor: int) -> list[int]:
        """Return the places right below the hunk's anchors."""
        starts: list[int] = []
        known: dict[str, list[int]] = {}
        for depth, anchor in enumerate(self._hunk.anchors):
            self._step(1)
            wanted = anchor.strip()
            if wanted not in known:
                places = find_runs(self._working.texts(LEADING), [wanted], floor, self._step)
                known[wanted] = [at + 1 for at in places]
            below = known[wanted]
            if depth:
                nexts = (bisect.bisect_right(below, start) for start in starts)
                below = sorted({below[n] for n in nexts if n < len(below)})
            if not below:
                raise Conflict(
                    f"{self._where()}: the anchor {wanted[:80]!r} is not in the file",
                    hint=nearest(self._working, [anchor], floor, self._step),
                )
            starts = below
        return starts

    def _insertion(self, floor: int) -> int:
        """Return where lines go that come without context."""
        if self._hunk.anchors and not self._hunk.at_end:
            starts = self._anchored(floor)
            if len(starts) > 1:
                raise self._ambiguous([at - 1 for at in starts], EXACT)
            return starts[0]
        end = len(self._working.lines)
        if self._hunk.line is None or not end or self._hunk.at_end:
            if inserted_at(self._working, self._hunk, end) is None:
                self._refuse_second_text()
            return end
        raise InvalidArguments(
            f"{self._where()} only adds lines and does not show where they go",
            hint="include at least one unchanged line next to the new ones",
        )

    def _refuse_second_text(self) -> None:
        """Refuse new lines at the end that are a new version of the whole file rather than more of it."""
        known = dict.fromkeys(filter(_WORD.search, self._working.texts(LEADING)))
        added = dict.fromkeys(filter(_WORD.search, (line.text.strip() for line in self._hunk.lines)))
        again = known.keys() & added.keys()
        if len(again) > 1 and (2 * len(again) >= len(known) or next(iter(added)) == next(iter(known))):
            raise InvalidArguments(
                f"{self._where()} adds the text of the file once more, at its end",
                hint="mark the lines that go with '-', or send the whole new text as `changes` with op 'update'",
            )

    def _where(self) -> str:
        return f"hunk {self._number} for {self._change.path!r}"

    def _ambiguous(self, places: Sequence[int], level: str) -> Conflict:
        shown = ", ".join(str(at + 1) for at in places[:_MAX_NAMED]) + ("…" if len(places) > _MAX_NAMED else "")
        how = "" if level == EXACT else f" (comparing by {level})"
        return Conflict(
            f"{self._where()} fits in {len(places)} places{how}: lines {shown}",
            hint="include more unchanged lines around the change, so that it fits in one place only. It could go to\n"
            + "\n".join(self._shown(at) for at in places[:_MAX_SHOWN]),
        )

    def _shown(self, at: int) -> str:
        """Show a place as its first line and the line before it, which tells it from the others."""
        first = max(0, at - 1)
        texts = self._working.texts()[first : at + 1]
        return "\n".join(f"{n}: {text[:160]}" for n, text in enumerate(texts, first + 1))

    def _missing(self, floor: int) -> Conflict:
        before = applied_at(self._working, self._hunk, self._step)
        if before is not None:
            return self._applied_before(before)
        below = f" below line {floor}" if floor else ""
        return Conflict(
            f"{self._where()} is not in the file{below}",
            hint=left_out(self._hunk, self._working, floor, self._step)
            or nearest(self._working, self._hunk.old, floor, self._step),
        )

    def _applied_before(self, at: int) -> Conflict:
        real = WorkingLines(self._document.lines)
        rest = [
            number
            for number, hunk in enumerate(self._change.hunks, 1)
            if number != self._number and applied_at(real, hunk, self._step) is None
        ]
        if not rest:
            whole = self._where() if len(self._change.hunks) == 1 else f"the change of {self._change.path!r}"
            return Conflict(
                f"{whole} is already applied: the new lines are in the file, at line {at + 1}",
                hint="nothing is left to do for this file",
            )
        return Conflict(
            f"{self._where()} is already applied: its new lines are in the file, at line {at + 1}",
            hint=f"send the patch again without this hunk; not applied yet: {_numbers(rest)}",
        )


def _numbers(hunks: Sequence[int]) -> str:
    more = "…" if len(hunks) > _MAX_NAMED else ""
    return ("hunk " if len(hunks) == 1 else "hunks ") + ", ".join(map(str, hunks[:_MAX_NAMED])) + more
