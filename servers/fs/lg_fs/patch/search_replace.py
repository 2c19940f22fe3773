"""SEARCH/REPLACE blocks.

::

    PATH
    <<<<<<< SEARCH
    lines that are there
    =======
    lines that shall be there
    >>>>>>> REPLACE

Blocks for one file may follow each other, with or without its name again. An empty SEARCH creates the file.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from lg_fs.patch.codex_format import bad_line
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line

_SEARCH = re.compile(r"<{5,9} SEARCH:?\s*$")
_DIVIDER = re.compile(r"={5,9}\s*$")
_REPLACE = re.compile(r">{5,9} REPLACE\s*$")
_HINT = "write PATH, '<<<<<<< SEARCH', old lines, '=======', new lines, '>>>>>>> REPLACE'"


def looks_like_blocks(lines: list[str]) -> bool:
    """Whether a patch contains such blocks."""
    return any(_SEARCH.match(line) for line in lines)


def parse_blocks(lines: list[str]) -> list[FileChange]:
    """Parse the lines of a patch. Raises `InvalidArguments` that names the line."""
    added: dict[str, str] = {}
    hunks: dict[str, list[Hunk]] = {}
    order: list[str] = []
    path: str | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip() or line.startswith("```"):
            at += 1
            continue
        if not _SEARCH.match(line):
            path = line.strip().strip("`")
            at += 1
            continue
        if path is None:
            raise bad_line(at, "the block names no file", _HINT)
        old, new, at = _block(lines, at)
        if path not in order:
            order.append(path)
        if old:
            hunks.setdefault(path, []).append(Hunk(lines=_compare(old, new)))
        elif path in added or path in hunks:
            raise bad_line(at - 1, f"a second block for {path!r} has an empty SEARCH", "give the lines to replace")
        else:
            added[path] = "".join(f"{one}\n" for one in new)
    for name in added:
        if name in hunks:
            raise bad_line(0, f"{name!r} is created and changed by the same patch", "create it with its final content")
    return [_change(name, added, hunks) for name in order]


def _change(name: str, added: dict[str, str], hunks: dict[str, list[Hunk]]) -> FileChange:
    if name in added:
        return FileChange(op="add", path=name, content=added[name])
    return FileChange(op="update", path=name, hunks=tuple(hunks[name]), in_order=False)


def _block(lines: list[str], at: int) -> tuple[list[str], list[str], int]:
    begin = at
    old, at = _until(lines, at + 1, _DIVIDER, begin)
    new, at = _until(lines, at, _REPLACE, begin)
    if any(_DIVIDER.match(line) for line in new):
        raise bad_line(
            begin, "the block has two '=======' lines", "use the '*** Begin Patch' format for text that contains them"
        )
    return old, new, at


def _until(lines: list[str], at: int, stop: re.Pattern[str], begin: int) -> tuple[list[str], int]:
    collected: list[str] = []
    while at < len(lines):
        if stop.match(lines[at]):
            return collected, at + 1
        if _SEARCH.match(lines[at]):
            break
        collected.append(lines[at])
        at += 1
    raise bad_line(begin, "the block is not complete", _HINT)


def _compare(old: list[str], new: list[str]) -> tuple[Line, ...]:
    """Tell which lines stay, so that these keep their bytes in the file."""
    lines: list[Line] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > 2_000).get_opcodes():
        if tag == "equal":
            lines += [Line(KEEP, text) for text in old[a:b]]
            continue
        lines += [Line(DROP, text) for text in old[a:b]]
        lines += [Line(ADD, text) for text in new[c:d]]
    return tuple(lines)
