"""SEARCH/REPLACE blocks.

::

    PATH
    <<<<<<< SEARCH
    lines that are there
    =======
    lines that replace them
    >>>>>>> REPLACE

Blocks for one file may follow each other, with or without its name again. An empty SEARCH creates the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from lg_fs.patch.alignment import opcodes
from lg_fs.patch.dialects.codex_format import bad_line
from lg_fs.patch.dialects.file_names import heading_name, is_name, longer_names, may_be_part, may_be_sentence
from lg_fs.patch.dialects.patch_cleanup import fence_name
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_policy.errors import InvalidArguments

_SEARCH = re.compile(
    r"[ \t]*(?P<mark><{3,20}|-{5,20}) {0,3}(?P<word>SEARCH|ORIGINAL|OLD|HEAD|CURRENT|FIND|BEFORE)\b"
    r"(?: (?:START|BLOCK)\b)?[ \t]*+(?:<{3,20}|[>:])?+[ \t]*+(?P<path>[^<>\s][^<>\r\n]{0,4096}+)?+\s*+$",
    re.IGNORECASE,
)
_DIVIDER = re.compile(r"[ \t]*(?P<mark>={3,20})(?: {0,2}REPLACE)?\s*$")
_REPLACE = re.compile(
    r"[ \t]*(?P<mark>>{3,20}|\+{5,20}) {0,3}(?P<word>REPLACE(?:MENT)?|UPDATED|NEW|AFTER)\b[^\r\n]{0,1000}+\s*+$",
    re.IGNORECASE,
)
_BARE_END = re.compile(r"[ \t]*(?P<mark>>{5,20})(?: {0,3}(?:END|SEARCH))?\s*$", re.IGNORECASE)
"""Ends a block that `SEARCH` begins, but not what may be a conflict of a merge."""
_OF_MERGES = ("HEAD", "CURRENT", "OLD", "ORIGINAL")
_SHORT = 5
"""Marks with fewer signs are taken only if those of the block are as short: `>>>` is the prompt of Python."""
_OPENING = re.compile(r"<{7} ?\S")
_CONFLICT = re.compile(r"[ \t]*>{7} ?\S")
_BASE = re.compile(r"[ \t]*\|{7}")
_PLACE = re.compile(r":(?:start|end)_line: ?\d{1,9}\s*$")
_RULE = re.compile(r"-{5,9}\s*$")
_CLOSING = re.compile(r"</?(?:file|edit|replace_in_file|diff)>\s*", re.IGNORECASE)
_FENCES = ("```", "~~~")
_MAX_HEADING = 5_000
_MAX_HEADINGS = 5
_OTHER = re.compile(r"\*\*\* ?(?:delete|remove|move|rename)\b.{0,20}:|diff --git |@@ -\d", re.IGNORECASE)
"""How a change begins that is no block."""
_BEGINS_FILE = re.compile(r"\*\*\* ?(?:add|create|new|update|modify|edit|change)(?: file)?:|\+{3} \S", re.IGNORECASE)
_ONE_FORMAT = "send one format only: all blocks in one patch, and what else changes in another"
_NAMED = "write the path alone on its line, in backticks if it has blanks"
_HINT = "write PATH, '<<<<<<< SEARCH', old lines, '=======', new lines, '>>>>>>> REPLACE'"


class _Named(NamedTuple):
    """The name of a file, and the longer ones that its heading may hold."""

    name: str
    longer: tuple[str, ...] = ()


def looks_like_blocks(lines: list[str]) -> bool:
    """Return whether a patch contains such blocks."""
    return any(map(_SEARCH.match, lines))


def begins_block(line: str) -> bool:
    """Return whether a line without the mark of a hunk begins a block."""
    return line.startswith("<") and _SEARCH.match(line) is not None


def parse_blocks(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    """Parse the lines of a patch. `check` may raise to stop the work.

    Raises `InvalidArguments` that names the line.
    """
    added: dict[_Named, str] = {}
    hunks: dict[_Named, list[Hunk]] = {}
    order: dict[_Named, tuple[str, ...]] = {}
    headings: list[str] = []
    path: _Named | None = None
    at = 0
    while at < len(lines):
        check()
        line = lines[at]
        begin = _SEARCH.match(line)
        if begin is None:
            _refuse_other(lines, at)
            if not _is_around(line):
                headings.append(line)
            elif not headings:
                path = _Named(name) if (name := fence_name(line)) else path
            at += 1
            continue
        path = _named(begin["path"] or "") or _named_above(headings, path)
        if path is None:
            raise bad_line(at, "the block names no file", _HINT)
        above = headings
        order.setdefault(
            path, tuple(line for line in headings[: -_MAX_HEADINGS - 1 : -1] if heading_name(line) != path.name)
        )
        headings = []
        old, new, at = _block(lines, at)
        if old:
            hunks.setdefault(path, []).append(Hunk(lines=_compare(old, new, check)))
        else:
            _refuse_new(path, at - 1, above, is_known=path in added or path in hunks)
            added[path] = "".join(f"{text}\n" for text in new)
    _refuse_rest(headings, added.keys() & hunks.keys())
    return [replace(_change(name, added, hunks), headings=above) for name, above in order.items()]


def _named(line: str) -> _Named | None:
    """Return the file that a line names; `None` for a line without a name."""
    name = heading_name(line)
    return _Named(name, longer_names(line)) if name else None


def _refuse_new(path: _Named, at: int, above: list[str], *, is_known: bool) -> None:
    name = path.name
    if is_known:
        raise bad_line(at, f"a second block for {name!r} has an empty SEARCH", "give the lines to replace")
    if any(may_be_sentence(line, name) for line in above):
        raise bad_line(at, f"{name[:80]!r} may be a sentence rather than the name of a new file", _NAMED)
    if any(may_be_part(line) for line in above if heading_name(line) == name):
        longer = path.longer[-1] if path.longer else ""
        raise bad_line(at, f"the new file may be {longer[:80]!r} or {name[:80]!r}", _NAMED)


def _refuse_rest(headings: list[str], both: set[_Named]) -> None:
    """Raise `InvalidArguments` if a file begins below the last block, or a file is created and changed."""
    begun = next(filter(_BEGINS_FILE.match, headings), None)
    if begun is not None:
        raise InvalidArguments(f"no block follows for {begun[:80]!r}", hint=_ONE_FORMAT)
    for path in sorted(both):
        raise bad_line(0, f"{path.name!r} is created and changed by the same patch", "create it with its final content")


def _refuse_other(lines: list[str], at: int) -> None:
    """Raise `InvalidArguments` if a line between the blocks is no remark, but part of a change that would be lost."""
    again = at > 0 and lines[at].strip() == lines[at - 1].strip()  # the last line twice
    if _OTHER.match(lines[at]) or (_ends_any(lines[at]) and not again):
        raise bad_line(at, f"{lines[at].strip()[:60]!r} belongs to no block", _ONE_FORMAT)


def _ends_any(line: str) -> bool:
    found = _REPLACE.match(line)
    return found is not None and len(found["mark"]) >= _SHORT


def _is_around(line: str) -> bool:
    """Return whether a line between blocks belongs to what they are wrapped in."""
    bare = line.strip()
    return not bare or bare.startswith(_FENCES) or _CLOSING.fullmatch(bare[:_MAX_HEADING]) is not None


def _named_above(headings: list[str], before: _Named | None) -> _Named | None:
    """Return the file that the lines above a block name, the nearest first; without one, that of the block before."""
    names = [_named(line) for line in headings[: -_MAX_HEADINGS - 1 : -1]]
    return next((path for path in names if path and is_name(path.name)), before or next(iter(names), None))


def _change(path: _Named, added: dict[_Named, str], hunks: dict[_Named, list[Hunk]]) -> FileChange:
    if path in added:
        return FileChange(op="add", path=path.name, content=added[path])
    return FileChange(op="update", path=path.name, hunks=tuple(hunks[path]), in_order=False, longer=path.longer)


def _block(lines: list[str], begin: int) -> tuple[list[str], list[str], int]:
    """Return the two halves of the block that begins there, and the place after it."""
    first = begin + 1
    while first < len(lines) and lines[first].strip() == lines[begin].strip():
        first += 1  # the first line twice
    dividers, end = _limits(lines, begin, first)
    if not dividers or end == len(lines) or not _ends(lines[end], lines[begin]):
        raise _incomplete(lines, begin, end, bool(dividers))
    if len(dividers) > 1:
        # A line of text, such as an underlined heading, may look like a divider: the real one is as long as its mark.
        length = len(_signs(_SEARCH, lines[begin]))
        dividers = [at for at in dividers if len(_signs(_DIVIDER, lines[at])) == length]
    if len(dividers) != 1:
        raise bad_line(
            begin, "the block has two '=======' lines", "use the '*** Begin Patch' format for text that contains them"
        )
    first = _after_place(lines, first)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    old, new = lines[first : dividers[0]], lines[dividers[0] + 1 : end]
    if indent and all(not text.strip() or text.startswith(indent) for text in (*old, *new)):
        old, new = ([text.removeprefix(indent) for text in side] for side in (old, new))
    return old, new, end + 1


def _limits(lines: list[str], begin: int, first: int) -> tuple[list[int], int]:
    """Return the places that may divide a block, and where it ends or another one begins.

    A conflict of a merge in a block that `SEARCH` begins is text: that is how such a conflict is resolved.
    """
    short = len(_signs(_SEARCH, lines[begin])) < _SHORT
    may_hold_conflicts = not _is_of_merge(lines[begin])
    dividers: list[int] = []
    at = first
    while at < len(lines) and not _ends(lines[at], lines[begin]):
        if (
            may_hold_conflicts
            and _OPENING.match(lines[at])
            and (_is_of_merge(lines[at]) or not _SEARCH.match(lines[at]))
        ):
            stops = (n for n in range(at + 1, len(lines)) if _CONFLICT.match(lines[n]) or _ends(lines[n], lines[begin]))
            closing = next(stops, len(lines))
            may_hold_conflicts = closing < len(lines) and not _ends(lines[closing], lines[begin])
            if may_hold_conflicts:
                at = closing + 1
                continue
        if _SEARCH.match(lines[at]) and (short or len(_signs(_SEARCH, lines[at])) >= _SHORT):
            break
        if _DIVIDER.match(lines[at]) and (short or len(_signs(_DIVIDER, lines[at])) >= _SHORT):
            dividers.append(at)
        at += 1
    return dividers, at


def _signs(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.match(line)
    return found["mark"] if found is not None else ""


def _is_of_merge(line: str) -> bool:
    found = _SEARCH.match(line)
    return found is not None and found["word"].upper() in _OF_MERGES


def _ends(line: str, begin: str) -> bool:
    """Return whether a line ends the block that `begin` begins."""
    found = _REPLACE.match(line) or (None if _is_of_merge(begin) else _BARE_END.match(line))
    return found is not None and (len(found["mark"]) >= _SHORT or len(_signs(_SEARCH, begin)) < _SHORT)


def _incomplete(lines: list[str], begin: int, end: int, divided: bool) -> InvalidArguments:
    """Return the error for a block that lacks a line, or that is a conflict of a merge."""
    within = range(begin + 1, end)
    conflict = next((at for at in within if _CONFLICT.match(lines[at]) or _BASE.match(lines[at])), None)
    if conflict is not None:
        return bad_line(
            conflict,
            f"{lines[conflict].strip()[:60]!r} ends the conflict of a merge, and does not tell which half is wanted",
            "write the lines that are there below '<<<<<<< SEARCH' and the new ones above '>>>>>>> REPLACE'",
        )
    lacks = "'>>>>>>> REPLACE'" if divided or any(map(_DIVIDER.match, lines[begin + 1 : end])) else "'======='"
    return bad_line(begin, f"the block is not complete: it has no {lacks}", _HINT)


def _after_place(lines: list[str], at: int) -> int:
    """The first line of text in a block that begins with its line numbers and a rule, as some editors have them."""
    first = at
    while at < len(lines) and _PLACE.match(lines[at]):
        at += 1
    return at + 1 if first < at < len(lines) and _RULE.match(lines[at]) else first


def _compare(old: list[str], new: list[str], check: Callable[[], None]) -> tuple[Line, ...]:
    """Tell which lines stay, so that these keep their bytes in the file."""
    lines: list[Line] = []
    for tag, a, b, c, d in opcodes(old, new, check):
        if tag == "equal":
            lines += [Line(KEEP, text) for text in old[a:b]]
            continue
        lines += [Line(DROP, text) for text in old[a:b]]
        lines += [Line(ADD, text) for text in new[c:d]]
    return tuple(lines)
