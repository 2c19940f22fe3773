"""Turns the arguments of `apply_patch` into a list of file changes. The first line tells the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lg_fs.patch.codex_format import BEGIN, END, is_begin, parse_envelope
from lg_fs.patch.diff_names import is_pipe, next_header
from lg_fs.patch.model import FileChange, Hunk
from lg_fs.patch.patch_cleanup import patch_lines
from lg_fs.patch.search_replace import looks_like_blocks, parse_blocks
from lg_fs.patch.unified_diff import begins_unified, parse_unified
from lg_policy.errors import InvalidArguments

_FORMATS = "begin with '*** Begin Patch', '--- PATH' (unified diff), or PATH and '<<<<<<< SEARCH'"


def _no_check() -> None:
    """Never stop the work."""


def parse_patch(text: str, check: Callable[[], None] = _no_check) -> list[FileChange]:
    """Parse a patch in any of the three formats. `check` is called regularly and may raise to stop the work.

    Raises `InvalidArguments`.
    """
    lines = patch_lines(text, _begins, looks_like_blocks)
    check()
    if not lines:
        raise InvalidArguments("the patch is empty", hint=_FORMATS)
    if not _begins(lines[0]) and not looks_like_blocks(lines):
        # A mail, `git show`, or sentences before the diff.
        lines = lines[next_header(lines, 0) :] or lines
    first = lines[0]
    if is_begin(first):
        changes = parse_envelope(lines, check)
    elif begins_unified(first):
        changes = parse_unified(lines, check)
    elif looks_like_blocks(lines):
        changes = parse_blocks(lines, check)
    else:
        raise InvalidArguments(
            f"patch format not recognised: it begins with {first[:60]!r}", hint=_FORMATS + _advice(first)
        )
    if not changes:
        raise InvalidArguments("the patch changes no file", hint=_FORMATS)
    _refuse_pipes(changes)
    return _joined(changes)


def _refuse_pipes(changes: Sequence[FileChange]) -> None:
    for change in changes:
        for name in (change.path, change.to or ""):
            if is_pipe(name):
                raise InvalidArguments(
                    f"the patch names {name!r}, which is a pipe and not a file",
                    hint="name the file that is to be changed, relative to the root",
                )


def _joined(changes: Sequence[FileChange]) -> list[FileChange]:
    """Make one operation of all updates of a file: the second is about what the first one left."""
    first: dict[str, int] = {}
    hunks: dict[int, list[Hunk]] = {}
    joined: list[FileChange] = []
    for change in changes:
        place = first.setdefault(change.path, len(joined))
        if place < len(joined) and change.op == joined[place].op == "update" and change.hunks and joined[place].hunks:
            more = hunks.setdefault(place, list(joined[place].hunks))
            more += [replace(change.hunks[0], from_top=True), *change.hunks[1:]]
        else:
            joined.append(change)
    return [
        replace(change, hunks=tuple(hunks[place])) if place in hunks else change for place, change in enumerate(joined)
    ]


def _begins(line: str) -> bool:
    return is_begin(line) or begins_unified(line)


def _advice(first: str) -> str:
    if first.startswith("@@"):
        return ". The hunk names no file: put '--- PATH' and '+++ PATH' above it"
    if first.startswith("*** ") and "File:" in first:
        return f". Put a line {BEGIN!r} above it and {END!r} at the end"
    if first.startswith(("*** ", "***************")):
        return ". Context diffs are not read: make a unified diff (diff -u)"
    return ""


def parse_changes(changes: Sequence[Mapping[str, Any]]) -> list[FileChange]:
    """Turn the `changes` argument into file changes. Raises `InvalidArguments`."""
    return [_change(number, change) for number, change in enumerate(changes)]


def _change(number: int, change: Mapping[str, Any]) -> FileChange:
    op, content, to = change["op"], change.get("content"), change.get("to")
    where = f"changes[{number}]"
    if op in ("add", "update") and content is None:
        raise InvalidArguments(f"{where}: op {op!r} needs content", hint="content is the whole new text of the file")
    if op == "delete" and content is not None:
        raise InvalidArguments(f"{where}: op 'delete' takes no content")
    if (op == "move") != (to is not None):
        raise InvalidArguments(f"{where}: 'to' belongs to op 'move', and only to it", hint="to is the new path")
    return FileChange(op=op, path=change["path"], to=to, content=content)
