"""The `*** Begin Patch` envelope.

::

    *** Begin Patch
    *** Add File: PATH            then lines that begin with "+"
    *** Delete File: PATH
    *** Update File: PATH
    *** Move to: PATH             optional
    @@ LINE ABOVE                 optional, repeated: class, then function
     kept, -dropped, +added
    *** End of File               optional: the hunk reaches the end
    *** End Patch
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lg_fs.patch.dialects.envelope_lines import (
    ADD_FILE,
    BEGIN,
    DELETE_FILE,
    END,
    END_OF_FILE,
    FENCES,
    MORE,
    MOVE_TO,
    UPDATE_FILE,
)
from lg_fs.patch.model import ADD, DROP, KEEP, UNMARKED, FileChange, Hunk, Line
from lg_policy.errors import InvalidArguments

CHECK_EVERY = 1_024
"""Lines of a patch between two checks that its caller still waits."""
NO_NEWLINE = re.compile(r"\\? ?No newline at end of file\s*", re.IGNORECASE)
"""What diffs say about the line before. Models leave its backslash out."""
_MOVES = re.compile(r"\*\*\*\s*(?:move|rename)", re.IGNORECASE)
_NEW_FILE = re.compile(r"@@(?: -0,0 \+\d{1,9}(?:,\d{1,9})? @@.*)?")
_LINE_NUMBERS = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+\d{1,9}(?:,\d{1,9})? @@.*")


def parse_envelope(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    """Parse the lines of a patch, which are in their proper form. `check` may raise to stop the work.

    Raises `InvalidArguments` that names the line.
    """
    return _EnvelopeParser(lines, check).parse()


def bad_line(number: int, problem: str, hint: str) -> InvalidArguments:
    """Return the error for line `number` (from 0) of a patch."""
    return InvalidArguments(f"patch line {number + 1}: {problem}", hint=hint)


def hunk_line(line: str) -> Line:
    """Return a line of a patch as a line of a hunk."""
    if not line:
        return Line(KEEP, "")  # an empty kept line whose blank was stripped
    if line[0] in (KEEP, DROP, ADD):
        return Line(line[0], line[1:])
    if line[0] == "\u00a0":  # a no-break space, which editors put for a blank
        return Line(KEEP, line[1:])
    return Line(UNMARKED, line)


def settled(lines: list[Line], begin: int, numbers: list[int]) -> tuple[tuple[Line, ...], tuple[int, str] | None]:
    """Return the lines of a hunk that begins at line `begin` (from 0), and the first of them that has no mark.

    If some kept lines lack the blank before them, all do: those that begin with one are indented. `numbers` are the
    lines' places in the patch. Raises `InvalidArguments` for a hunk that changes nothing.
    """
    first = next(
        ((number, line.text) for number, line in zip(numbers, lines, strict=False) if line.mark == UNMARKED), None
    )
    if all(line.mark in (KEEP, UNMARKED) for line in lines):
        if first is not None:
            raise no_hunk_line(first)
        raise bad_line(begin, "the hunk changes nothing", "mark lines to remove with '-' and new ones with '+'")
    if first is None:
        return tuple(lines), None
    whole = [Line(KEEP, f" {text}") if mark == KEEP and text else Line(mark, text) for mark, text in lines]
    return tuple(Line(KEEP, text) if mark == UNMARKED else Line(mark, text) for mark, text in whole), first


def no_hunk_line(unmarked: tuple[int, str]) -> InvalidArguments:
    """Return the error for a line of a hunk that has no mark, and that is not in the file either."""
    number, text = unmarked
    return bad_line(
        number,
        f"{text[:60]!r} is no line of a hunk",
        "hunk lines begin with ' ' (kept), '-' (removed) or '+' (new); leave remarks out",
    )


def without_newline(lines: list[Line]) -> set[str]:
    """Return the sides that a "no newline at end of file" marker is about: those of the line before it."""
    if not lines or lines[-1].mark == KEEP:
        return {"old", "new"}
    return {"old"} if lines[-1].mark == DROP else {"new"}


def _separates(line: str) -> bool:
    return not line or (line.startswith(FENCES) and not line.strip("`~ "))


class _EnvelopeParser:
    def __init__(self, lines: list[str], check: Callable[[], None]) -> None:
        self._lines = lines
        self._check = check
        self._at = 1

    def parse(self) -> list[FileChange]:
        changes: list[FileChange] = []
        while True:
            line = self._peek()
            if line is None:
                raise bad_line(self._at, "the patch ends without '*** End Patch'", f"end it with a line {END!r}")
            if line.rstrip() == END:
                if not self._begins_again():
                    return changes
                continue
            if not line.strip() or line.startswith(FENCES):
                self._at += 1
                continue
            changes.append(self._file(line))

    def _peek(self) -> str | None:
        if self._at % CHECK_EVERY == 0:
            self._check()
        return self._lines[self._at] if self._at < len(self._lines) else None

    def _begins_again(self) -> bool:
        """Whether another envelope follows. Sentences at the end are nobody's lines; what looks like more of a patch is
        refused.
        """
        rest = [n for n in range(self._at + 1, len(self._lines)) if self._lines[n].strip() and self._lines[n] != END]
        first = rest[0] if rest else None
        if first is not None and self._lines[first] == BEGIN:
            self._at = first + 1
            return True
        for number in rest:
            if MORE.match(self._lines[number]):
                raise bad_line(number, "there is text after '*** End Patch'", "put all files into one envelope")
        return False

    def _file(self, line: str) -> FileChange:
        self._at += 1
        if line.startswith(ADD_FILE):
            return FileChange(op="add", path=line[len(ADD_FILE) :].strip(), content=self._content())
        if line.startswith(DELETE_FILE):
            return FileChange(op="delete", path=line[len(DELETE_FILE) :].strip())
        if line.startswith(UPDATE_FILE):
            return self._update(line[len(UPDATE_FILE) :].strip())
        if _MOVES.match(line):
            raise bad_line(
                self._at - 1,
                f"{line[:60]!r} begins no file",
                "write '*** Update File: OLD' and '*** Move to: NEW' below it",
            )
        raise bad_line(
            self._at - 1,
            f"{line[:60]!r} begins no file",
            "expected '*** Add File: PATH', '*** Update File: PATH', '*** Delete File: PATH' or '*** End Patch'",
        )

    def _content(self) -> str:
        self._skip_diff_header()
        content: list[str] = []
        while (line := self._peek()) is not None and not line.startswith("*** "):
            if not line.strip():
                blank = self._skip_blank_lines()
                content += ["\n"] * blank if (self._peek() or "").startswith("+") else []
                continue
            if not line.startswith("+"):
                raise bad_line(self._at, "a line of a new file does not begin with '+'", "put '+' before each line")
            content.append(line[1:] + "\n")
            self._at += 1
            if NO_NEWLINE.fullmatch((self._peek() or "")[:40]):
                content[-1] = content[-1].removesuffix("\n")
                self._at += 1
        if (self._peek() or "").rstrip() == END_OF_FILE:
            self._at += 1
        return "".join(content)

    def _skip_blank_lines(self) -> int:
        begin = self._at
        while (line := self._peek()) is not None and not line.strip():
            self._at += 1
        return self._at - begin

    def _skip_diff_header(self) -> None:
        """Pass over the header of a diff that repeats the name of a file, and over the first line of a fence."""
        while (line := self._peek()) is not None and line.startswith((*FENCES, "diff --git ", "index ")):
            self._at += 1
        after = self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""
        if (line or "").startswith("--- ") and after.startswith("+++ "):
            self._at += 2
        hunk = _NEW_FILE.fullmatch(self._peek() or "")
        if hunk is not None and self._lines[self._at - 1].startswith(("+++ ", ADD_FILE)):
            self._at += 1

    def _update(self, path: str) -> FileChange:
        begin = self._at - 1
        to: str | None = None
        line = self._peek()
        if line is not None and line.startswith(MOVE_TO):
            to = line[len(MOVE_TO) :].strip()
            self._at += 1
        self._skip_diff_header()
        hunks: list[Hunk] = []
        while (line := self._peek()) is not None and (not line.startswith("*** ") or line.rstrip() == END_OF_FILE):
            hunk = self._hunk(moved=to is not None)
            if hunk is not None:
                hunks.append(hunk)
        if not hunks and to is None:
            raise bad_line(begin, f"the update of {path!r} changes nothing", "add at least one hunk")
        return FileChange(op="move" if to is not None else "update", path=path, to=to, hunks=tuple(hunks))

    def _hunk(self, *, moved: bool) -> Hunk | None:
        """Parse one hunk; `None` for an empty one, and for one of kept lines where the move is the change."""
        begin = self._at
        number = self._line_number()
        anchors = self._anchors() if number is None else ()
        lines: list[Line] = []
        numbers: list[int] = []
        at_end = False
        missing: set[str] = set()
        while (line := self._peek()) is not None and not line.startswith("@@"):
            if line.rstrip() == END_OF_FILE:
                at_end = True
                self._at += 1
                break
            if line.startswith("*** "):
                break
            if NO_NEWLINE.fullmatch(line[:40]):
                missing |= without_newline(lines)
            else:
                lines.append(hunk_line(line))
                numbers.append(self._at)
            self._at += 1
        following = self._peek()
        if following is None or following.startswith("*** "):
            # Empty lines before a header separate, and a fence ends; they are no lines of the file.
            end = self._at
            while lines and not at_end and _separates(self._lines[end - 1]):
                lines.pop()
                end -= 1
        if (not lines and not anchors) or (moved and lines and all(line.mark == KEEP for line in lines)):
            return None
        whole, unmarked = settled(lines, begin, numbers)
        newline = "new" not in missing if len(missing) == 1 else None
        return Hunk(
            lines=whole,
            anchors=anchors,
            line=number,
            at_end=at_end,
            new_final_newline=newline,
            unmarked=unmarked,
        )

    def _line_number(self) -> int | None:
        """Return the line number in a unified diff's header, which models mix in. It only helps to choose a place."""
        match = _LINE_NUMBERS.fullmatch(self._peek() or "")
        if match is None:
            return None
        self._at += 1
        return int(match[1])

    def _anchors(self) -> tuple[str, ...]:
        anchors: list[str] = []
        while (line := self._peek()) is not None and line.startswith("@@"):
            text = line[2:].removeprefix(" ")
            if text.strip() and text.strip() != "@@":
                anchors.append(text.rstrip().removesuffix(" @@"))
            self._at += 1
        return tuple(anchors)
