"""A patch as data, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Op = Literal["add", "update", "delete", "move"]

KEEP, DROP, ADD = " ", "-", "+"


class Line(NamedTuple):
    """A line of a hunk: `mark` is `KEEP`, `DROP` or `ADD`; `text` has no line break."""

    mark: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """One place to change. Its kept and dropped lines say where it is; the rest only helps to choose.

    `anchors`: lines that come before the place, outermost first. `line`: the author's line number, from 1.
    `at_end`: it reaches the end of the file. `new_final_newline`: whether the file should end with a line break, if the
    hunk says so.
    """

    lines: tuple[Line, ...]
    anchors: tuple[str, ...] = ()
    line: int | None = None
    at_end: bool = False
    new_final_newline: bool | None = None

    @property
    def old(self) -> tuple[str, ...]:
        """Return the lines that the file has at this place."""
        return tuple(line.text for line in self.lines if line.mark != ADD)


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """What happens to one file.

    `add` has `content`; `update` has `hunks`, or `content` to replace all; `move` has `to`, and may have either.
    `in_order` says that each hunk lies below the one before it. `executable` is for new files only.
    """

    op: Op
    path: str
    to: str | None = None
    content: str | None = None
    hunks: tuple[Hunk, ...] = ()
    in_order: bool = True
    executable: bool = False
