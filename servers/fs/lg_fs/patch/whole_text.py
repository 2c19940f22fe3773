"""Refuses a whole new text that is no file: a patch, a fence, numbered lines, or a text that leaves lines out.

A model that sends such a text means something else, and the file would lose what it holds.
"""

from __future__ import annotations

import re

from lg_fs.patch.corrections import is_escaped, says_unchanged
from lg_fs.patch.dialects.envelope_lines import FENCES, is_begin
from lg_fs.patch.dialects.search_replace import looks_like_blocks
from lg_policy.errors import InvalidArguments

_PROSE = (".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc", ".patch", ".diff")
_NUMBERED = re.compile(r"\s{0,10}(\d{1,9})(?:\t|\u2192| ?\| )")
_HUNK = re.compile(r"@@ -\d{1,9}(?:,\d{1,9})? \+\d{1,9}(?:,\d{1,9})? @@")
_RAW = re.compile(r"[<>]")
_MAX_LINES = 200_000


def refuse_other_than_text(path: str, content: str, old: str | None) -> None:
    """Raise `InvalidArguments` if the whole new text of a file is not the text of one. `old`: what the file holds."""
    new = content.split("\n", _MAX_LINES)
    lines = [line for line in new if line.strip()]
    if not lines:
        return
    before = set() if old is None else {line.strip() for line in old.split("\n", _MAX_LINES)}
    problem = _wrapped(path, lines, before)
    if problem is None and old is not None:
        problem = _numbered(new, before) or _shortened(lines, old, before) or _escaped(content, new, old)
    if problem is not None:
        what, hint = problem
        raise InvalidArguments(f"the new content of {path!r} {what}", hint=hint)


def _wrapped(path: str, lines: list[str], before: set[str]) -> tuple[str, str] | None:
    """Say what stands around or before the lines that is no part of a file."""
    if path.lower().endswith(_PROSE) or lines[0].strip() in before:
        return None
    hunks = lines[0].startswith(("--- ", "diff --git ")) and any(map(_HUNK.match, lines[:10]))
    if is_begin(lines[0]) or hunks or (looks_like_blocks(lines[:3]) and not before.issuperset(lines[:3])):
        return "is a patch", "send it as `patch`, or send the whole new text of the file"
    if len(lines) > 2 and lines[0].startswith(FENCES) and lines[-1].strip() == lines[0][:3]:
        return "is in a Markdown fence", "send the text without the lines of the fence"
    return None


def _numbered(new: list[str], before: set[str]) -> tuple[str, str] | None:
    """Say that each line begins with its number, as `read_file` shows it, and those of the file do not."""
    lines = new[:-1] if not new[-1] else new
    numbers = [int(found[1]) if (found := _NUMBERED.match(line)) else -1 for line in lines]
    follow = len(numbers) > 2 and numbers[0] > 0 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if not follow or any(map(_NUMBERED.match, before)):
        return None
    return "begins each line with a line number", "the numbers of read_file are not in the file: leave them out"


def _shortened(lines: list[str], old: str, before: set[str]) -> tuple[str, str] | None:
    """Say which line stands for lines that the file has and the new text has not."""
    left_out = next((line for line in lines if says_unchanged(line) and line.strip() not in before), None)
    if left_out is None or len(lines) >= sum(1 for line in old.split("\n", _MAX_LINES) if line.strip()):
        return None
    return (
        f"has {left_out.strip()[:80]!r} in place of lines that the file has",
        "content is the whole new text: write all lines, or send a `patch` with the lines that change",
    )


def _escaped(content: str, new: list[str], old: str) -> tuple[str, str] | None:
    """Say how the new text is encoded once too often."""
    if len(new) == 1 and content.count("\\n") > 1 and old.count("\n") > 1 and "\\n" not in old:
        return "is one line with '\\n' written out", "send real line breaks"
    if (
        is_escaped(new)
        and not _RAW.search(content)
        and _RAW.search(old)
        and not is_escaped(old.split("\n", _MAX_LINES))
    ):
        return "has escapes such as &lt; where the file has the characters", "send the characters themselves"
    return None
