"""Explains why a hunk has no place: where it nearly fits, which line differs and how, or that it is already applied."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lg_fs.patch.corrections import is_escaped, pieces_of, stands_for_lines
from lg_fs.patch.levels import EXACT, LEADING, TRAILING, WorkingLines, normalised, plain_form
from lg_fs.patch.line_runs import Step, find_runs
from lg_fs.patch.model import ADD, DROP, Hunk
from lg_policy.tree.look_alikes import skeleton
from lg_policy.tree.similarity import similarity

_MAX_WANTED = 2_000
_MAX_INDEXED = 100_000
_MAX_COMPARED = 2_000
_MANY = 50  # a line that stands in more places says little about where a hunk belongs
_AROUND = 3
_WIDTH = 160
_NUMBERED = re.compile(r"\s*\d+(?:\t|: ?| ?\| ?|\u2192)")
_WORD = re.compile(r"\w")


def applied_at(lines: WorkingLines, hunk: Hunk, step: Step) -> int | None:
    """Return where the hunk's new lines already stand; `None` if that is not certain.

    Call it only if its old lines are not there. New lines that could stand anywhere, such as a single bracket, prove
    nothing.
    """
    new = [line.text for line in hunk.lines if line.mark != DROP]
    telling = [text for text in new if _WORD.search(text)]
    if not telling or (len(telling) < 2 and not any(line.mark == ADD for line in hunk.lines)):
        return None
    for level in (EXACT, TRAILING, LEADING):
        places = find_runs(lines.texts(level), normalised(new, level), 0, step)
        if places:
            return places[0]
    return None


def inserted_at(lines: WorkingLines, hunk: Hunk, at: int) -> int | None:
    """Return where the new lines of a hunk stand, which only adds lines and fits at `at`; `None` if they do not.

    A hunk with context on one side fits again after it was applied. Lines like those around them may be meant twice.
    """
    old, new = hunk.old, [line.text for line in hunk.lines if line.mark != DROP]
    known = {text.strip() for text in old}
    added = [line.text for line in hunk.lines if line.mark == ADD]
    if len(new) <= len(old) or not any(_WORD.search(text) and text.strip() not in known for text in added):
        return None
    lead = next((number for number, line in enumerate(hunk.lines) if line.mark != ADD), len(new))
    wanted, texts = normalised(new, TRAILING), lines.texts(TRAILING)
    for begin in (at - lead,) if old else (at - len(new), at):
        if begin >= 0 and texts[begin : begin + len(new)] == wanted:
            return begin
    return None


def nearest(lines: WorkingLines, old: Sequence[str], floor: int, step: Step) -> str:
    """Describe where the file is most like the old lines of a hunk, and what differs there."""
    texts = lines.texts()
    remark = ""
    numbers = [_NUMBERED.match(text) for text in old]
    if any(numbers) and all(found or not text.strip() for found, text in zip(numbers, old, strict=True)):
        remark = "its lines begin with line numbers, which are not in the file: leave the numbers out\n"
        old = [text[found.end() :] if found else text for found, text in zip(numbers, old, strict=True)]
    elif is_escaped(old) and not is_escaped(texts):
        remark = (
            "the hunk has escapes such as &lt; or \\u003c, which the file has not: write the characters themselves\n"
        )
    within = _within(texts, old)
    if within is not None:
        line = f"{within + 1}: {texts[within][:_WIDTH]}"
        return remark + f"the hunk has only a part of this line, but whole lines are compared:\n{line}"
    at = _closest(lines, old, step)
    if at is None:
        return remark + "nothing in the file is like it: read the file again"
    late = f"hunks must be in order, and this is above line {floor + 1}\n" if at < floor else ""
    return remark + late + _difference(texts, old, at)


def left_out(hunk: Hunk, lines: WorkingLines, floor: int, step: Step) -> str | None:
    """Say why a hunk with lines such as `...` cannot be completed; `None` if it has no such line."""
    removed = next((text for mark, text in hunk.lines if mark == DROP and stands_for_lines(text)), None)
    if removed is not None:
        return f"{removed.strip()!r} stands for lines that were left out: a patch must give each line that it removes"
    pieces = pieces_of(hunk)
    if sum(map(len, pieces)) == len(hunk.lines):
        return None
    begin = "the hunk leaves out lines of the file: give them, or make a hunk of each part\n"
    for piece in pieces:
        old = [line.text for line in piece if line.mark != ADD]
        places = find_runs(lines.texts(TRAILING), normalised(old, TRAILING), floor, step) if old else []
        if len(places) > 1:
            return f"{begin}{old[0][:_WIDTH]!r} is in {len(places)} places: lines " + ", ".join(
                str(at + 1) for at in places[:_AROUND]
            )
        if old and not places:
            return begin + nearest(lines, old, floor, step)
        floor = places[0] + len(old) if places else floor
    return begin + "the new lines stand alone: include an unchanged line next to them"


def _difference(texts: Sequence[str], old: Sequence[str], at: int) -> str:
    """Return the first line that differs from there on, in both versions, with the real lines around it."""
    n = next((n for n in range(len(old)) if at + n >= len(texts) or texts[at + n].strip() != old[n].strip()), None)
    if n is None:
        return "the nearest lines of the file are\n" + _numbered(texts, at, at + min(len(old), 12))
    place = at + n
    if place >= len(texts):
        said = f"the file ends before {_quoted(old[n])}"
    elif place + 1 < len(texts) and texts[place + 1].strip() == old[n].strip():
        said = f"the hunk leaves out line {place + 1} of the file: {_quoted(texts[place])}"
    elif n + 1 < len(old) and texts[place].strip() == old[n + 1].strip():
        said = f"the hunk has {_quoted(old[n])} before line {place + 1} of the file, which has no such line there"
    else:
        hunk_part, file_part, where = _around_difference(old[n], texts[place])
        said = f"the first line that differs is line {place + 1}{where}\nhunk: {_quoted(hunk_part, file_part)}\n"
        said += f"file: {_quoted(file_part, hunk_part)}"
    return f"{said}\nthe file around it:\n" + _numbered(texts, place - _AROUND, place + _AROUND + 1)


def _around_difference(hunk: str, file: str) -> tuple[str, str, str]:
    """Return both lines, and where they differ; of long ones that begin alike, only what is around that place."""
    if hunk[:_WIDTH] != file[:_WIDTH]:
        return hunk, file, ""
    shorter = min(len(hunk), len(file))
    column = next((n for n in range(_WIDTH, shorter) if hunk[n] != file[n]), shorter)
    begin = max(0, column - _WIDTH // 2)
    return hunk[begin:], file[begin:], f", from column {column + 1}"


def _numbered(texts: Sequence[str], begin: int, end: int) -> str:
    begin = max(0, begin)
    return "\n".join(f"{n}: {text[:_WIDTH]}" for n, text in enumerate(texts[begin:end], begin + 1))


def _quoted(text: str, other: str = "") -> str:
    """Quote a line; with escapes if it would otherwise look the same as the other one."""
    cut = text[:_WIDTH]
    same = other and skeleton(plain_form(text)).split() == skeleton(plain_form(other)).split()
    return ascii(cut) if same else repr(cut)


def _within(texts: Sequence[str], old: Sequence[str]) -> int | None:
    """Return the first line that contains a single searched line; nothing if it is a whole line somewhere."""
    wanted = old[0].strip() if len(old) == 1 else ""
    if not wanted or any(text.strip() == wanted for text in texts):
        return None
    return next((n for n, text in enumerate(texts) if wanted in text), None)


def _closest(lines: WorkingLines, old: Sequence[str], step: Step) -> int | None:
    """Return where the file is most like `old`: where most lines agree, or else where its first real line is alike."""
    wanted = [text.strip() for text in old[:_MAX_WANTED]]
    index: dict[str, list[int]] = {text: [] for text in wanted if text}
    for at, text in enumerate(lines.texts(LEADING)[:_MAX_INDEXED]):
        places = index.get(text)
        if places is not None and len(places) <= _MANY:
            places.append(at)
    votes: dict[int, int] = {}
    for rare in (True, False):
        for n, text in enumerate(wanted):
            step(1)
            places = index.get(text, [])
            for at in places if not rare or len(places) <= _MANY else ():
                votes[at - n] = votes.get(at - n, 0) + 1
        if votes:
            return max(0, max(votes.items(), key=lambda vote: (vote[1], -vote[0]))[0])
    first = next((text for text in wanted if text), "")
    best, found = 0.5, None
    for at, text in enumerate(lines.texts(LEADING)[:_MAX_COMPARED]):
        step(1)
        score = similarity(first, text)
        if score > best:
            best, found = score, at
    return found
