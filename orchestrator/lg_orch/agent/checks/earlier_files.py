"""Says how changed files are put back as they were before the run, from the change sets of the file server. Pure.

Nothing is written here: `restore_program` does that, in the sandbox's copy of the root.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_FILE = "diff --git "
_NO_END = "\\"

Hunk = tuple[int, list[str], list[str]]
"""The line, from 0, at which a hunk begins in the newer text; its lines there; its lines before."""


class CannotPutBackError(Exception):
    """The change sets do not say how a file was before. The text says why."""


def steps_back(changes: Sequence[Mapping[str, Any]], paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return the steps that put these files back, the newest change first. `changes` are change sets, oldest first.

    Raises `CannotPutBackError`.
    """
    wanted = _with_other_names(changes, set(paths))
    steps: list[dict[str, Any]] = []
    for change in reversed(changes):
        for path in change.get("changed_paths") or ():
            if str(path) in wanted:
                raise CannotPutBackError(f"a command wrote {path}, so its earlier text is not known")
        parts = file_hunks(str(change.get("diff") or ""))
        for file in change.get("files") or ():
            path, to = str(file.get("path")), file.get("to")
            if path not in wanted:
                continue
            header = f"{_FILE}a/{path} b/{to or path}"
            if header not in parts:
                raise CannotPutBackError(f"the change of {path} has no diff")
            steps.append({
                "path": path, "to": to, "before": file.get("before_sha256"), "after": file.get("after_sha256"),
                "hunks": parts[header],
            })  # fmt: skip
    return steps


def _with_other_names(changes: Sequence[Mapping[str, Any]], paths: set[str]) -> set[str]:
    """The paths, with all names that these files had or got when they were moved."""
    moves = [
        {str(file.get("path")), str(file["to"])}
        for change in changes
        for file in change.get("files") or ()
        if file.get("to")
    ]
    while True:
        wider = paths.union(*(names for names in moves if names & paths))
        if wider == paths:
            return paths
        paths = wider


def file_hunks(diff: str) -> dict[str, list[Hunk]]:
    """Return the hunks of each file, by its `diff --git` line."""
    parts: dict[str, list[Hunk]] = {}
    lines = diff.split("\n")
    at, current = 0, ""
    while at < len(lines):
        found = _HUNK.match(lines[at])
        if lines[at].startswith(_FILE):
            current = lines[at]
            parts[current] = []
        elif found is not None and current:
            length, start, count = int(found[1] or 1), int(found[2]), int(found[3] or 1)
            hunk, at = _hunk(lines, at + 1, start - 1 if count else start, (length, count))
            parts[current].append(hunk)
            continue
        at += 1
    return parts


def _hunk(lines: list[str], at: int, start: int, sizes: tuple[int, int]) -> tuple[Hunk, int]:
    """Read one hunk from its first line on; returns it and where the next line stands."""
    before: list[str] = []
    after: list[str] = []
    length, count = sizes
    while at < len(lines):
        line = lines[at]
        if line.startswith(_NO_END):
            # It is about the line before: that has no end.
            for side in (before, after):
                if side and lines[at - 1][1:] + "\n" == side[-1] and _belongs(lines[at - 1], side is before):
                    side[-1] = side[-1][:-1]
        elif len(before) == length and len(after) == count:
            break
        else:
            if _belongs(line, True):
                before.append(line[1:] + "\n")
            if _belongs(line, False):
                after.append(line[1:] + "\n")
        at += 1
    return (start, after, before), at


def _belongs(line: str, before: bool) -> bool:
    return line[:1] in ((" ", "-") if before else (" ", "+"))
