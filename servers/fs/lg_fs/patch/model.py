"""A patch as data, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Op = Literal["add", "update", "delete", "move"]

KEEP, DROP, ADD = " ", "-", "+"
UNMARKED = "?"
"""The mark of a line that has none while a hunk is parsed."""


class Line(NamedTuple):
    """A line of a hunk: `mark` is `KEEP`, `DROP` or `ADD`; `text` has no line break."""

    mark: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """One place to change. Its kept and dropped lines say where it is; the rest only helps to choose.

    `anchors`: lines that come before the place, outermost first. `line`: the author's line number, from 1.
    `at_end`: it reaches the end of the file. `new_final_newline`: whether the file should end with a line break, if the
    hunk changes that. `from_top`: it begins a further operation on the same file, and may lie above the one before it.
    """

    lines: tuple[Line, ...]
    anchors: tuple[str, ...] = ()
    line: int | None = None
    at_end: bool = False
    new_final_newline: bool | None = None
    from_top: bool = False
    unmarked: tuple[int, str] | None = None
    """The first line without a mark, with its place in the patch: the hunk counts only if its lines are in the file."""

    @property
    def old(self) -> tuple[str, ...]:
        """Return the lines that the file has at this place."""
        return tuple(line.text for line in self.lines if line.mark != ADD)


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """What happens to one file.

    `add` has `content`; `update` has `hunks`, or `content` to replace all; `move` has `to`, and may have either.
    `in_order` says that each hunk lies below the one before it. `executable` is for new files only. `or_path`: what
    `path` would be if the prefix before it were a directory; then the meaning is not certain.
    """

    op: Op
    path: str
    to: str | None = None
    content: str | None = None
    hunks: tuple[Hunk, ...] = ()
    in_order: bool = True
    executable: bool = False
    or_path: str | None = None
    exact_path: bool = False
    """`path` is an argument of its own, which rules have judged as it is written: it means no other name."""
    headings: tuple[str, ...] = ()
    """The lines from which `path` was read, the nearest first: they tell what is meant if no such file is there."""
    longer: tuple[str, ...] = ()
    """The longer names that the line may hold from whose end `path` was read, the longest first.

    A file of such a name is what is meant: `first draft.md` rather than `draft.md`.
    """

    def is_new_file(self) -> bool:
        """Return whether this is a diff against nothing (`@@ -0,0 …`), whose header lacks `/dev/null`."""
        return self.op == "update" and len(self.hunks) == 1 and self.hunks[0].line == 0 and not self.hunks[0].old

    def new_text(self) -> str:
        """Return the content that the hunks of a new file give it."""
        lines = [line.text for hunk in self.hunks for line in hunk.lines]
        ends = not self.hunks or self.hunks[-1].new_final_newline is not False
        return "\n".join(lines) + ("\n" if lines and ends else "")
