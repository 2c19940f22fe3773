"""Find where a hunk belongs, and put it there.

The lines of the hunk decide: exactly as they are, else with trailing, else with leading white space ignored. A level
that fits in one place is taken; one that fits in several is refused, unless anchors or an exactly right line number
choose. Nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from lg_fs.patch.document import Document, TextLine
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_policy.errors import Conflict, InvalidArguments

EXACT, TRAILING, LEADING = "exact", "trailing_whitespace", "leading_whitespace"
LEVELS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (EXACT, lambda text: text),
    (TRAILING, str.rstrip),
    (LEADING, str.strip),
)
_ORDER = [name for name, _ in LEVELS]
_MAX_NAMED = 10
_MAX_SHOWN = 5
_MAX_COMPARED = 20_000


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The changed file and the weakest level of matching that was needed."""

    document: Document
    match: str


@dataclass(frozen=True, kw_only=True)
class _Found:
    at: int
    level: str


def apply_hunks(document: Document, change: FileChange) -> Applied:
    """Apply all hunks of a change. Raises `Conflict` when one has no place or several, showing the nearest lines."""
    lines = list(document.lines)
    weakest = EXACT
    floor = shift = 0
    final_newline = document.ends_with_newline
    eol = document.eol
    for number, hunk in enumerate(change.hunks, 1):
        found = _Finder(change.path, number, lines, hunk).find(floor if change.in_order else 0, shift)
        new = _rewritten(lines, found, hunk, eol, change.path)
        old_count = len(hunk.old)
        reaches_end = found.at + old_count == len(lines)
        lines[found.at : found.at + old_count] = new
        floor = found.at + len(new)
        shift += len(new) - old_count
        weakest = max(weakest, found.level, key=_ORDER.index)
        if hunk.new_final_newline is not None and reaches_end:
            final_newline = hunk.new_final_newline
    return Applied(document=_finished(document, lines, eol, final_newline), match=weakest)


def _finished(document: Document, lines: list[TextLine], eol: str, final_newline: bool) -> Document:
    fixed = [TextLine(line.text, line.eol or eol) for line in lines]
    if fixed:
        last = fixed[-1]
        fixed[-1] = TextLine(last.text, last.eol if final_newline else "")
        if not last.text and not final_newline:
            fixed.pop()  # an empty last line without a break is no line
    return Document(lines=tuple(fixed), encoding=document.encoding)


class _Finder:
    """Looks for the place of one hunk."""

    def __init__(self, path: str, number: int, lines: Sequence[TextLine], hunk: Hunk) -> None:
        self._path = path
        self._number = number
        self._texts = [line.text for line in lines]
        self._hunk = hunk

    def find(self, floor: int, shift: int) -> _Found:
        if not self._hunk.old:
            return _Found(at=self._insertion(floor), level=EXACT)
        for level, normal in LEVELS:
            texts = self._texts if level == EXACT else [normal(text) for text in self._texts]
            places = self._places(texts, [normal(text) for text in self._hunk.old], floor)
            if len(places) > 1:
                places = self._chosen(places, floor, shift)
            if len(places) > 1:
                raise self._ambiguous(places, level)
            if places:
                return _Found(at=places[0], level=level)
        raise self._missing(floor)

    def _places(self, texts: Sequence[str], old: list[str], floor: int) -> list[int]:
        last = len(texts) - len(old)
        first = last if self._hunk.at_end else floor
        head = old[0]
        return [
            at
            for at in range(max(first, floor), last + 1)
            if texts[at] == head and list(texts[at : at + len(old)]) == old
        ]

    def _chosen(self, places: list[int], floor: int, shift: int) -> list[int]:
        if self._hunk.anchors:
            starts = self._anchored(floor)
            return sorted({min(at for at in places if at >= start) for start in starts if places[-1] >= start})
        if self._hunk.line is not None and self._hunk.line - 1 + shift in places:
            return [self._hunk.line - 1 + shift]
        return places

    def _anchored(self, floor: int) -> list[int]:
        """The places right below the hunk's anchors."""
        starts: list[int] = []
        for depth, anchor in enumerate(self._hunk.anchors):
            wanted = anchor.strip()
            below = [at + 1 for at in range(floor, len(self._texts)) if self._texts[at].strip() == wanted]
            if depth:
                first = (next((at for at in below if at > start), None) for start in starts)
                below = sorted({at for at in first if at is not None})
            if not below:
                raise Conflict(
                    f"{self._where()}: the anchor {wanted[:80]!r} is not in the file",
                    hint=self._nearest([anchor], floor),
                )
            starts = below
        return starts

    def _insertion(self, floor: int) -> int:
        """Where lines go that come with no context."""
        if self._hunk.anchors and not self._hunk.at_end:
            starts = self._anchored(floor)
            if len(starts) > 1:
                raise self._ambiguous([at - 1 for at in starts], EXACT)
            return starts[0]
        if self._hunk.line is None or not self._texts or self._hunk.at_end:
            return len(self._texts)
        raise InvalidArguments(
            f"{self._where()}: it only adds lines and does not show where",
            hint="include at least one unchanged line next to the new ones",
        )

    def _where(self) -> str:
        return f"hunk {self._number} for {self._path!r}"

    def _ambiguous(self, places: list[int], level: str) -> Conflict:
        shown = ", ".join(str(at + 1) for at in places[:_MAX_NAMED]) + ("…" if len(places) > _MAX_NAMED else "")
        how = "" if level == EXACT else f" (comparing by {level})"
        return Conflict(
            f"{self._where()} fits in {len(places)} places{how}: lines {shown}",
            hint="include more unchanged lines around it, so that it fits in one place only; it could go to\n"
            + "\n".join(self._shown(at) for at in places[:_MAX_SHOWN]),
        )

    def _shown(self, at: int) -> str:
        """A place as its first line, with the line before it, which tells it from the others."""
        first = max(0, at - 1)
        return "\n".join(f"{n + 1}: {text[:160]}" for n, text in enumerate(self._texts[first : at + 1], first))

    def _missing(self, floor: int) -> Conflict:
        below = f" below line {floor}" if floor else ""
        return Conflict(f"{self._where()} is not in the file{below}", hint=self._nearest(list(self._hunk.old), floor))

    def _nearest(self, old: list[str], floor: int) -> str:
        """The lines of the file that are most like what was looked for, with their numbers."""
        within = _within(self._texts, old)
        if within is not None:
            line = f"{within + 1}: {self._texts[within][:160]}"
            return f"it is only a part of this line, and whole lines are compared:\n{line}"
        at = _closest(self._texts, old)
        if at is None:
            return "the file has nothing like it; read it again"
        shown = [f"{at + n + 1}: {text[:160]}" for n, text in enumerate(self._texts[at : at + min(len(old), 12)])]
        late = f" (but hunks must be in order, and this is above line {floor + 1})" if at < floor else ""
        return f"nearest real lines{late}:\n" + "\n".join(shown)


def _within(texts: Sequence[str], old: Sequence[str]) -> int | None:
    """The first line that a single searched one is only a part of; nothing where it is a whole line somewhere."""
    wanted = old[0].strip() if len(old) == 1 else ""
    if not wanted or any(text.strip() == wanted for text in texts):
        return None
    return next((n for n, text in enumerate(texts) if wanted in text), None)


def _closest(texts: Sequence[str], old: Sequence[str]) -> int | None:
    """Where the file is most like `old`: the place where most lines agree, else where its first real line is alike."""
    wanted = [text.strip() for text in old]
    votes: dict[int, int] = {}
    index: dict[str, list[int]] = {}
    for at, text in enumerate(texts[:_MAX_COMPARED]):
        index.setdefault(text.strip(), []).append(at)
    for n, text in enumerate(wanted):
        if text:
            for at in index.get(text, ())[:1_000]:
                votes[at - n] = votes.get(at - n, 0) + 1
    if votes:
        best = max(votes.items(), key=lambda item: (item[1], -item[0]))[0]
        return max(0, best)
    first = next((text for text in wanted if text), "")
    best_ratio, best_at = 0.5, None
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(first[:200])
    for at, text in enumerate(texts[: _MAX_COMPARED // 10]):
        matcher.set_seq1(text.strip()[:200])
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best_ratio, best_at = ratio, at
    return best_at


def _rewritten(lines: Sequence[TextLine], found: _Found, hunk: Hunk, eol: str, path: str) -> list[TextLine]:
    """The lines that replace the old ones; kept lines are the file's own, byte for byte."""
    indent = _reindent(lines, found, hunk, path) if found.level == LEADING else None
    at = found.at
    new: list[TextLine] = []
    for mark, text in hunk.lines:
        if mark == ADD:
            added = text.removesuffix("\r") if eol == "\r\n" else text
            new.append(TextLine(indent(added) if indent else added, eol))
            continue
        if mark == KEEP:
            new.append(lines[at])
        at += 1
    return new


def _reindent(lines: Sequence[TextLine], found: _Found, hunk: Hunk, path: str) -> Callable[[str], str]:
    """How the file's indentation differs from the hunk's, to be applied to new lines too.

    Raises `Conflict` unless all lines differ in the same way: then nobody knows what was meant.
    """
    old: list[Line] = [line for line in hunk.lines if line.mark in (KEEP, DROP)]
    differences = {
        (_indent(line.text), _indent(lines[found.at + n].text)) for n, line in enumerate(old) if line.text.strip()
    }
    shifts = {_shift(theirs, ours) for theirs, ours in differences}
    if len(shifts) != 1:
        raise Conflict(
            f"a hunk for {path!r} fits at line {found.at + 1} only with its indentation ignored, and that differs "
            "from line to line",
            hint="read the file again and give the lines with their real indentation",
        )
    extra, surplus = shifts.pop()

    def apply(text: str) -> str:
        if not text.strip():
            return text
        return extra + (text.removeprefix(surplus) if surplus else text)

    return apply


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _shift(theirs: str, ours: str) -> tuple[str, str]:
    """What to put before and what to take from a line of the patch so that it stands as the file's do."""
    if ours.endswith(theirs):
        return ours[: len(ours) - len(theirs)], ""
    if theirs.endswith(ours):
        return "", theirs[: len(theirs) - len(ours)]
    return ours, theirs
