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

from lg_fs.patch.alignment import opcodes
from lg_fs.patch.codex_format import bad_line
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_fs.patch.patch_cleanup import fence_name
from lg_policy.errors import InvalidArguments

_SEARCH = re.compile(
    r"[ \t]*(?:<{5,9}|-{5,9}) ?(?:SEARCH|ORIGINAL|OLD|HEAD|CURRENT)\b[>:]?(?P<path> [^<>]{1,4096})?$", re.IGNORECASE
)
_DIVIDER = re.compile(r"[ \t]*={5,9}\s*$")
_REPLACE = re.compile(r"[ \t]*(?:>{5,9}|\+{5,9}) ?(?:REPLACE|UPDATED|NEW)[>:]?\s*$", re.IGNORECASE)
_CONFLICT = re.compile(r"[ \t]*>{7} ?\S")
_BASE = re.compile(r"[ \t]*\|{7}")
_PLACE = re.compile(r":(?:start|end)_line: ?\d{1,9}\s*$")
_RULE = re.compile(r"-{5,9}\s*$")
_HEADING = re.compile(r"(?:#{1,6}|//|--|;{1,2}|%|\d{1,3}[.)]|[-*+\u2022]) +")
"""What stands before a name in a heading, in an item of a list, or in a comment of the file's language."""
_ENCLOSED = re.compile(
    r"(?:<!--|/\*+)\s*(?P<comment>.*?)\s*(?:-->|\*/)|<(?:file|edit|replace_in_file|diff)\b[^<>]{0,200}?"
    r"\b(?:path|name|file|filename)=(?P<quote>[\"'])(?P<value>[^\"'<>]{1,4096})(?P=quote)[^<>]{0,200}>",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"</(?:file|edit|replace_in_file|diff)>\s*", re.IGNORECASE)
_LABEL = re.compile(r"(?:file|path|filename): *", re.IGNORECASE)
_FENCES = ("```", "~~~")
_MAX_HEADING = 5_000
_HINT = "write PATH, '<<<<<<< SEARCH', old lines, '=======', new lines, '>>>>>>> REPLACE'"


def looks_like_blocks(lines: list[str]) -> bool:
    """Return whether a patch contains such blocks."""
    return any(map(_SEARCH.match, lines))


def parse_blocks(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    """Parse the lines of a patch. `check` may raise to stop the work.

    Raises `InvalidArguments` that names the line.
    """
    added: dict[str, str] = {}
    hunks: dict[str, list[Hunk]] = {}
    order: dict[str, None] = {}
    path: str | None = None
    is_named = False  # by a line since the last block
    at = 0
    while at < len(lines):
        check()
        line = lines[at]
        if not line.strip() or line.lstrip().startswith(_FENCES) or _CLOSING.fullmatch(line[:_MAX_HEADING]):
            if not is_named:
                path = fence_name(line) or path
            at += 1
            continue
        begin = _SEARCH.match(line)
        if begin is None:
            path, is_named = _path(line), True
            at += 1
            continue
        path = _path(begin["path"] or "") or path
        if path is None:
            raise bad_line(at, "the block names no file", _HINT)
        old, new, at = _block(lines, at)
        is_named = False
        order[path] = None
        if old:
            hunks.setdefault(path, []).append(Hunk(lines=_compare(old, new, check)))
        elif path in added or path in hunks:
            raise bad_line(at - 1, f"a second block for {path!r} has an empty SEARCH", "give the lines to replace")
        else:
            added[path] = "".join(f"{text}\n" for text in new)
    for name in added:
        if name in hunks:
            raise bad_line(0, f"{name!r} is created and changed by the same patch", "create it with its final content")
    return [_change(name, added, hunks) for name in order]


def _change(name: str, added: dict[str, str], hunks: dict[str, list[Hunk]]) -> FileChange:
    if name in added:
        return FileChange(op="add", path=name, content=added[name])
    return FileChange(op="update", path=name, hunks=tuple(hunks[name]), in_order=False)


def _path(line: str) -> str:
    """Return the file name in the line above a block, without the marks that models put around it."""
    text = line.strip()
    enclosed = _ENCLOSED.fullmatch(text) if len(text) <= _MAX_HEADING else None
    if enclosed is not None:
        text = enclosed["comment"] or enclosed["value"] or ""
    text = _HEADING.sub("", text, count=1).strip("*` ")
    return _LABEL.sub("", text).strip("` ").removesuffix(":").rstrip("*`")


def _block(lines: list[str], begin: int) -> tuple[list[str], list[str], int]:
    """Return the two halves of the block that begins there, and the place after it."""
    end = next((at for at in range(begin + 1, len(lines)) if _REPLACE.match(lines[at]) or _SEARCH.match(lines[at])), 0)
    dividers = [at for at in range(begin + 1, end) if _DIVIDER.match(lines[at])]
    if not dividers or not _REPLACE.match(lines[end]):
        raise _incomplete(lines, begin, end or len(lines), bool(dividers))
    if len(dividers) > 1:
        # A line of text, such as an underlined heading, may look like a divider: the real one is as long as its mark.
        length = lines[begin].count(lines[begin].strip()[0])
        dividers = [at for at in dividers if lines[at].count("=") == length]
    if len(dividers) != 1:
        raise bad_line(
            begin, "the block has two '=======' lines", "use the '*** Begin Patch' format for text that contains them"
        )
    first = _after_place(lines, begin + 1)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    old, new = lines[first : dividers[0]], lines[dividers[0] + 1 : end]
    if indent and all(not text.strip() or text.startswith(indent) for text in (*old, *new)):
        old, new = ([text.removeprefix(indent) for text in side] for side in (old, new))
    return old, new, end + 1


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
    while _PLACE.match(lines[at]):
        at += 1
    return at + 1 if at > first and _RULE.match(lines[at]) else first


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
