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

from lg_fs.patch.model import ADD, DROP, KEEP, UNMARKED, FileChange, Hunk, Line
from lg_policy.errors import InvalidArguments

CHECK_EVERY = 1_024
"""Lines of a patch between two checks that its caller still waits."""
BEGIN = "*** Begin Patch"
END = "*** End Patch"
NO_NEWLINE = re.compile(r"\\? ?No newline at end of file\s*", re.IGNORECASE)
"""What diffs say about the line before. Models leave its backslash out."""
_ADD, _DELETE, _UPDATE = "*** Add File: ", "*** Delete File: ", "*** Update File: "
_MOVE, _END_OF_FILE = "*** Move to: ", "*** End of File"
# How models write these lines nearly right: other case, other verbs, blanks left out, stars at the end.
_NEARLY = re.compile(
    r"\*\*\*\s*(?:(?P<verb>add|create|new|update|modify|edit|change|delete|remove)\s+file\s*:|"
    r"(?P<move>(?:move|rename)(?:d)?\s+to)\s*:|(?P<mark>begin\s+patch|end\s+patch|end\s+of\s+file))"
    r"\s*(?P<rest>.*?)(?:\s*\*\*\*)?$",
    re.IGNORECASE,
)
_MAX_HEADER = 5_000
_VERBS = {"add": _ADD, "create": _ADD, "new": _ADD, "delete": _DELETE, "remove": _DELETE}
_MARKS = {"begin patch": BEGIN, "end patch": END, "end of file": _END_OF_FILE}
_MORE = re.compile(r"\*\*\* ?\w|@@|\+|-\S|--- |diff |<{5}")
"""How lines begin that belong to a patch."""
_LINE_NUMBERS = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+\d{1,9}(?:,\d{1,9})? @@.*")


def is_begin(line: str) -> bool:
    """Return whether a line begins an envelope."""
    return _corrected(line) == BEGIN


def parse_envelope(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    """Parse the lines of a patch. `check` may raise to stop the work.

    Raises `InvalidArguments` that names the line.
    """
    return _EnvelopeParser([_corrected(line) if line.startswith("***") else line for line in lines], check).parse()


def _corrected(line: str) -> str:
    """Return a line of the envelope in its proper form, any other line unchanged."""
    match = _NEARLY.match(line) if len(line) <= _MAX_HEADER else None
    if match is None or (match["mark"] and match["rest"]):
        return line
    if match["mark"]:
        return _MARKS[" ".join(match["mark"].lower().split())]
    name = unquoted(match["rest"])
    return (_MOVE if match["move"] else _VERBS.get(match["verb"].lower(), _UPDATE)) + name


def unquoted(name: str) -> str:
    """Return a file name without the quotes or backticks around it."""
    name = name.strip()
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] and name[0] in "`\"'" else name


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
            if not line.strip():
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
        rest = range(self._at + 1, len(self._lines))
        first = next((number for number in rest if self._lines[number].strip()), None)
        if first is not None and self._lines[first] == BEGIN:
            self._at = first + 1
            return True
        for number in rest:
            if _MORE.match(self._lines[number]):
                raise bad_line(number, "there is text after '*** End Patch'", "put all files into one envelope")
        return False

    def _file(self, line: str) -> FileChange:
        self._at += 1
        if line.startswith(_ADD):
            return FileChange(op="add", path=line[len(_ADD) :].strip(), content=self._content())
        if line.startswith(_DELETE):
            return FileChange(op="delete", path=line[len(_DELETE) :].strip())
        if line.startswith(_UPDATE):
            return self._update(line[len(_UPDATE) :].strip())
        raise bad_line(
            self._at - 1,
            f"{line[:60]!r} begins no file",
            "expected '*** Add File: PATH', '*** Update File: PATH', '*** Delete File: PATH' or '*** End Patch'",
        )

    def _content(self) -> str:
        content: list[str] = []
        while (line := self._peek()) is not None and not line.startswith("*** "):
            if not line.startswith("+"):
                raise bad_line(self._at, "a line of a new file does not begin with '+'", "put '+' before each line")
            content.append(line[1:] + "\n")
            self._at += 1
            if NO_NEWLINE.fullmatch((self._peek() or "")[:40]):
                content[-1] = content[-1].removesuffix("\n")
                self._at += 1
        return "".join(content)

    def _update(self, path: str) -> FileChange:
        begin = self._at - 1
        to: str | None = None
        line = self._peek()
        if line is not None and line.startswith(_MOVE):
            to = line[len(_MOVE) :].strip()
            self._at += 1
        hunks: list[Hunk] = []
        while (line := self._peek()) is not None and (not line.startswith("*** ") or line.rstrip() == _END_OF_FILE):
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
            if line.rstrip() == _END_OF_FILE:
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
            # Empty lines before a header separate; they are no lines of the file.
            end = self._at
            while lines and not at_end and self._lines[end - 1] == "":
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
