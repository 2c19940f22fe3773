"""Parses unified diffs, plain and git's. Line numbers and counts are hints; the lines decide."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from lg_fs.patch.dialects.codex_format import CHECK_EVERY, NO_NEWLINE, bad_line, hunk_line, settled, without_newline
from lg_fs.patch.dialects.diff_names import ends_mail, is_pipe, next_header, without_prefixes, without_stamp
from lg_fs.patch.dialects.envelope_lines import MORE
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_policy.errors import InvalidArguments

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_C_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_C_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_C_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NULL = "/dev/null"
_REFUSED = (
    ("GIT binary patch", "binary patches are not supported"),
    ("Binary files ", "binary patches are not supported"),
    ("copy from ", "copies are not supported; add the file with its content"),
    ("copy to ", "copies are not supported; add the file with its content"),
    ("old mode ", "mode changes are not supported"),
    ("new mode ", "mode changes are not supported"),
)
_SKIPPED = ("index ", "similarity index ", "dissimilarity index ", "Index: ", "=====", "diff -")


def begins_unified(line: str) -> bool:
    """Return whether a patch that begins with this line is a unified diff."""
    return line.startswith(("diff --git ", "--- ", "Index: ", "diff -", "+++ "))


def parse_unified(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    """Parse the lines of a patch. `check` may raise to stop the work.

    Raises `InvalidArguments` that names the line.
    """
    return _UnifiedParser(lines, check).parse()


@dataclass(kw_only=True)
class _File:
    at: int
    old: str | None = None
    new: str | None = None
    git_names: tuple[str, str] | None = None
    rename_from: str | None = None
    rename_to: str | None = None
    executable: bool = False
    created: bool = False
    deleted: bool = False
    hunks: list[Hunk] = field(default_factory=list)

    def is_named(self) -> bool:
        """Return whether a header said which file it is."""
        return self.old is not None or self.new is not None or self.git_names is not None


class _UnifiedParser:
    def __init__(self, lines: list[str], check: Callable[[], None]) -> None:
        self._lines = lines
        self._check = check
        self._at = 0
        self._files: list[_File] = []
        self._actions: tuple[tuple[str, Callable[[str], None]], ...] = (
            ("diff --git ", self._git_header),
            ("--- ", self._begin_file),
            ("+++ ", self._new_name),
            ("rename from ", self._rename_from),
            ("rename to ", self._rename_to),
            ("new file mode ", self._new_file),
            ("deleted file mode ", self._deleted),
        )

    def parse(self) -> list[FileChange]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith("@@@"):
                raise bad_line(
                    self._at, "combined diffs of a merge are not read", "make a diff against one parent (git diff HEAD)"
                )
            if line.startswith("@@") or self._begins_bare_hunk():
                self._current("a hunk comes before any file header").hunks.append(self._hunk())
                continue
            if self._files and self._files[-1].hunks and ends_mail(self._lines, self._at):
                self._at = next_header(self._lines, self._at + 1)
                continue
            self._header(line)
            self._at += 1
        return [_finish(file) for file in self._files]

    def _current(self, problem: str) -> _File:
        if not self._files or not self._files[-1].is_named():
            raise bad_line(self._at, problem, "begin each file with '--- PATH' and '+++ PATH'")
        return self._files[-1]

    def _header(self, line: str) -> None:
        for start, problem in _REFUSED:
            if line.startswith(start):
                raise bad_line(self._at, problem, "leave it out of the patch")
        for start, action in self._actions:
            if line.startswith(start):
                action(line)
                return
        if line.strip() and not line.startswith(_SKIPPED):
            raise bad_line(self._at, f"{line[:60]!r} belongs to no diff", "give only the diff itself")

    def _git_header(self, line: str) -> None:
        self._files.append(_File(at=self._at, git_names=_git_names(line, self._at)))

    def _new_name(self, line: str) -> None:
        file = self._files[-1] if self._files else None
        if file is None or file.new is not None or file.hunks:
            file = _File(at=self._at)  # the line '---' above it is missing
            self._files.append(file)
        file.new = _name(line[4:], self._at)

    def _rename_from(self, line: str) -> None:
        self._current("a rename before any file").rename_from = _name(line[12:], self._at)

    def _rename_to(self, line: str) -> None:
        self._current("a rename before any file").rename_to = _name(line[10:], self._at)

    def _deleted(self, _line: str) -> None:
        self._current("a mode before any file").deleted = True

    def _begin_file(self, line: str) -> None:
        name = _name(line[4:], self._at)
        file = self._files[-1] if self._files else None
        if file is None or file.git_names is None or file.old is not None or file.hunks:
            file = _File(at=self._at)
            self._files.append(file)
        file.old = name

    def _new_file(self, line: str) -> None:
        file = self._current("a mode before any file")
        mode = line.removeprefix("new file mode ").strip()
        if mode not in ("100644", "100755"):
            raise bad_line(self._at, f"file mode {mode} is not supported", "only regular files are created")
        file.created = True
        file.executable = mode == "100755"

    def _begins_bare_hunk(self) -> bool:
        """Whether a hunk without its `@@` begins here: right below both names of a file."""
        file = self._files[-1] if self._files else None
        return (
            file is not None
            and file.old is not None
            and file.new is not None
            and not file.hunks
            and self._lines[self._at - 1].startswith("+++ ")
            and self._lines[self._at][:1] in (KEEP, DROP, ADD)
        )

    def _hunk(self) -> Hunk:
        begin = self._at
        match = _HUNK.match(self._lines[begin])
        expected = int(match[2] or 1) if match else None
        if self._lines[begin].startswith("@@"):
            self._at += 1
        lines: list[Line] = []
        numbers: list[int] = []
        missing: set[str] = set()
        last = None
        while self._at < len(self._lines) and not self._ends_hunk():
            line = self._lines[self._at]
            if line.startswith("\\") or NO_NEWLINE.fullmatch(line[:40]):
                missing |= without_newline(lines)
            elif self._is_sentence() and _is_whole(lines, match):
                self._at, last = len(self._lines), ""
                break
            elif self._begins_bare_file() and _is_whole(lines, match):
                break
            else:
                lines.append(hunk_line(line))
                numbers.append(self._at)
            self._at += 1
        _drop_separators(lines, expected, self._lines[self._at - 1] if last is None else last)
        whole, unmarked = settled(lines, begin, numbers)
        return Hunk(
            lines=whole,
            unmarked=unmarked,
            line=int(match[1]) if match else None,
            new_final_newline="new" not in missing if len(missing) == 1 else None,
        )

    def _begins_bare_file(self) -> bool:
        """Whether a header begins of which one line is missing; below a hunk that is whole it is no line of it."""
        after = self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""
        return self._lines[self._at].startswith(("--- ", "+++ ")) and after.startswith("@@")

    def _is_sentence(self) -> bool:
        """Whether a line begins sentences that follow a patch to its end."""
        line = self._lines[self._at]
        return bool(line) and line[0] not in (KEEP, DROP, ADD, "\\", "@") and self._at > self._last_of_patch

    @cached_property
    def _last_of_patch(self) -> int:
        """The place of the last line that belongs to a patch, by how it begins."""
        return next((n for n in range(len(self._lines) - 1, -1, -1) if MORE.match(self._lines[n])), -1)

    def _ends_hunk(self) -> bool:
        if self._at % CHECK_EVERY == 0:
            self._check()
        line = self._lines[self._at]
        if line.startswith(("@@ ", "diff --git ", "Index: ")) or line == "@@" or ends_mail(self._lines, self._at):
            return True
        if not line.startswith("--- ") or self._at + 1 >= len(self._lines):
            return False
        # A removed line may look like a header; a header is followed by the other one and a hunk (or by nothing).
        after = self._lines[self._at + 1]
        following = self._lines[self._at + 2] if self._at + 2 < len(self._lines) else "@@"
        return after.startswith("+++ ") and following.startswith("@@")


def _is_whole(lines: list[Line], header: re.Match[str] | None) -> bool:
    """Whether a hunk has as many lines as its header says; the empty ones at its end may be too many."""
    if header is None:
        return False
    counted = list(lines)
    _drop_separators(counted, int(header[2] or 1), "")
    old = sum(1 for line in counted if line.mark != ADD)
    new = sum(1 for line in counted if line.mark != DROP)
    return (old, new) == (int(header[2] or 1), int(header[4] or 1))


def _drop_separators(lines: list[Line], expected: int | None, last: str) -> None:
    """Empty lines at the end separate files or end the text, unless the header counts them."""
    if last:
        return
    old = sum(1 for line in lines if line.mark != ADD)
    while lines and lines[-1] == Line(KEEP, "") and (expected is None or old > expected):
        lines.pop()
        old -= 1


def _name(text: str, at: int) -> str:
    if text.startswith('"'):
        return _c_quoted(text, at)[0]
    name = without_stamp(text.split("\t", maxsplit=1)[0])
    if not name:
        raise bad_line(at, "the file name is missing", "write it after '--- ' and '+++ '")
    return name


def _c_quoted(text: str, at: int) -> tuple[str, str]:
    """Return a name that git quoted because it is not plain ASCII, and what follows it."""
    match = _C_QUOTED.match(text)
    if match is None:
        raise bad_line(at, "the quoted file name is not complete", "give the name as it is, without quotes")
    name = _C_ESCAPE.sub(_unescaped, match[1].encode("utf-8", "surrogatepass"))
    try:
        return name.decode(), text[match.end() :]
    except UnicodeDecodeError as error:
        raise bad_line(at, "the quoted file name is not UTF-8", "such a file cannot be named in a patch") from error


def _unescaped(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    return bytes([int(escape, 8) & 0xFF]) if escape.isdigit() else _C_LETTERS.get(escape, escape)


def _git_names(line: str, at: int) -> tuple[str, str]:
    """Return both names of a `diff --git a/X b/Y` line; needed when nothing else follows (an empty new file)."""
    rest = line.removeprefix("diff --git ")
    if rest.startswith('"'):
        old, after = _c_quoted(rest, at)
        return old.removeprefix("a/"), _name(after.lstrip(), at).removeprefix("b/")
    if rest.endswith('"') and ' "' in rest:
        old, _, after = rest.partition(' "')
        return old.removeprefix("a/"), _name(f'"{after}', at).removeprefix("b/")
    middle = len(rest) // 2
    if rest[middle : middle + 1] == " ":
        # Almost always the names are the same, and may have blanks and " b/" in them.
        old, new = rest[:middle], rest[middle + 1 :]
        if without_prefixes(old, new)[0] == without_prefixes(old, new)[1]:
            return without_prefixes(old, new)
    old, found, new = rest.partition(" b/")
    if found and old.startswith("a/"):
        return old.removeprefix("a/"), new
    old, _, new = rest.partition(" ")
    return without_prefixes(old, new)


def _finish(file: _File) -> FileChange:
    old, new = _strip(file)
    hunks = tuple(file.hunks)
    if file.rename_from is not None or file.rename_to is not None:
        return _renamed(file, old, new, hunks)
    if old == _NULL or (file.created and file.old is None):
        return _created(file, new, hunks)
    if new == _NULL or (file.deleted and file.old is None):
        return FileChange(op="delete", path=old, hunks=hunks)
    if old != new:
        raise bad_line(file.at, f"the names {old!r} and {new!r} differ", "a rename needs 'rename from' and 'rename to'")
    if not hunks:
        raise bad_line(file.at, f"the diff of {new!r} changes nothing", "add a hunk")
    only = _only_name(file) if file.git_names is None else None
    return FileChange(op="update", path=new, hunks=hunks, or_path=None if only == new else only)


def _strip(file: _File) -> tuple[str, str]:
    """Return both names. The prefixes a/ and b/ are removed if each side has its own, or if there is one side only."""
    only = _only_name(file)
    if only is None:
        old, new = without_prefixes(file.old or "", file.new or "")
    elif only == "":
        if file.git_names is None:
            raise bad_line(file.at, "the header names no file", "give both '--- PATH' and '+++ PATH'")
        return file.git_names
    else:
        old = new = only.removeprefix("a/" if file.new is None or is_pipe(file.new) else "b/")
    if old == new == _NULL:
        raise bad_line(file.at, "both names are /dev/null", "name the file")
    if file.git_names is not None:
        for name, in_git in ((old, file.git_names[0]), (new, file.git_names[1])):
            if name not in (_NULL, in_git) and only is None:
                raise bad_line(file.at, f"{name!r} is not the name in the 'diff --git' line", "use one name throughout")
        if only is not None:
            return file.git_names
    return old, new


def _only_name(file: _File) -> str | None:
    """Return the only name in a header of which one side is missing or a pipe; "" without any, `None` with two."""
    names = [name for name in (file.old, file.new) if name is not None and not is_pipe(name)]
    if len(names) == 2:
        return None
    if not names and (file.old or file.new) and file.git_names is None:
        raise bad_line(
            file.at, f"{file.new or file.old!r} is a pipe, not a file", "name the file that is to be changed"
        )
    return names[0] if names and names[0] != _NULL else ""


def _renamed(file: _File, old: str, new: str, hunks: tuple[Hunk, ...]) -> FileChange:
    source, target = file.rename_from, file.rename_to
    if file.git_names is not None:
        source, target = source or file.git_names[0], target or file.git_names[1]
    if source is None or target is None or source == target:
        raise bad_line(file.at, "a rename is incomplete", "give both 'rename from' and 'rename to'")
    if (old, new) != (source, target):
        raise bad_line(file.at, "the rename and the file names disagree", "use the same names throughout")
    return FileChange(op="move", path=source, to=target, hunks=hunks)


def _created(file: _File, path: str, hunks: tuple[Hunk, ...]) -> FileChange:
    lines = [line for hunk in hunks for line in hunk.lines]
    if any(line.mark != ADD for line in lines):
        raise InvalidArguments(
            f"the new file {path!r} has lines that are not added", hint="begin every line of a new file with '+'"
        )
    change = FileChange(op="add", path=path, hunks=hunks, executable=file.executable)
    return replace(change, content=change.new_text(), hunks=())
