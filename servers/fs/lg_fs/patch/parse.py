"""Turns the arguments of `apply_patch` into a list of file changes. The first line tells the format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lg_fs.patch.dialects.codex_format import parse_envelope
from lg_fs.patch.dialects.diff_names import is_pipe, next_header
from lg_fs.patch.dialects.envelope_lines import BEGIN, END, FENCES, envelope_lines, inner_lines, is_begin, lacks_begin
from lg_fs.patch.dialects.file_names import heading_name, is_name, longer_names, may_be_part
from lg_fs.patch.dialects.patch_cleanup import patch_lines
from lg_fs.patch.dialects.search_replace import begins_block, looks_like_blocks, parse_blocks
from lg_fs.patch.dialects.unified_diff import begins_unified, parse_unified
from lg_fs.patch.model import FileChange, Hunk
from lg_policy.errors import InvalidArguments

_FORMATS = "begin with '*** Begin Patch', '--- PATH' (unified diff), or PATH and '<<<<<<< SEARCH'"

_NAMED = "put '--- PATH' and '+++ PATH' above the first hunk"
_MAX_HEADINGS = 5
_NO_BLANK = re.compile(r"---[^\s-][^\n]*\n\+\+\+[^\s+][^\n]*\n@@")


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
    changes = _parsed(lines, check)
    if not changes:
        raise InvalidArguments("the patch changes no file", hint=_FORMATS)
    _refuse_pipes(changes)
    return joined(changes)


def _parsed(lines: list[str], check: Callable[[], None]) -> list[FileChange]:
    if lacks_begin(lines):
        lines = [BEGIN, *lines]
    has_blocks = looks_like_blocks(lines)
    if is_begin(lines[0]):
        lines = envelope_lines(lines)
        inner = _other_format(lines, has_blocks=has_blocks)
        if inner is None:
            return parse_envelope(lines, check)
        lines = inner
    if not _begins(lines[0]) and not has_blocks:
        # A mail, `git show`, sentences or only the file's name before the diff.
        lines = lines[next_header(lines, 0) :] or _with_header(lines)
    if has_blocks and not any(line.startswith("@@") for line in lines):
        return parse_blocks(lines, check)
    if begins_unified(lines[0]):
        return parse_unified(lines, check)
    if has_blocks:
        return parse_blocks(lines, check)
    first = lines[0]
    raise InvalidArguments(
        f"patch format not recognised: it begins with {first[:60]!r}", hint=_FORMATS + _advice(first)
    )


def _other_format(lines: list[str], *, has_blocks: bool) -> list[str] | None:
    """Return the diff or the blocks in an envelope, without its first and its last line; `None` for a real envelope."""
    first = next((line for line in lines[1:] if line.strip() and not line.startswith(FENCES)), "")
    if not begins_unified(first) and not (has_blocks and any(map(begins_block, lines))):
        return None
    inner = inner_lines(lines)
    if inner and not has_blocks:
        inner = [line for line in inner if not line.startswith(FENCES)]
    return inner[next(n for n, line in enumerate(inner) if line.strip()) :] if inner else None


def _with_header(lines: list[str]) -> list[str]:
    """Return a diff of one file that has no header, with the name that the line above its first hunk gives it."""
    if _NO_BLANK.match("\n".join(lines[:3])):
        return [f"{line[:3]} {line[3:]}" for line in lines[:2]] + lines[2:]
    first = next((n for n, line in enumerate(lines) if line.startswith("@@ ")), 0)
    above = [line for line in lines[:first] if line.strip() and not line.startswith(FENCES)]
    name = heading_name(above[-1]) if above else ""
    if not is_name(name) or len(above) > _MAX_HEADINGS:
        return lines
    rest = lines[first:]
    if may_be_part(above[-1]):
        longer = longer_names(above[-1])[-1]
        if rest[0].startswith("@@ -0,0 "):
            raise InvalidArguments(f"the new file may be {longer[:80]!r} or {name[:80]!r}", hint=_NAMED)
        name = longer  # if there is no such file, `name` is meant
    end = next((n for n, line in enumerate(rest) if line.startswith(FENCES)), len(rest))
    while end and not rest[end - 1].strip():
        end -= 1
    return [f"--- {name}", f"+++ {name}", *rest[:end]]


def _refuse_pipes(changes: Sequence[FileChange]) -> None:
    for change in changes:
        for name in (change.path, change.to or ""):
            if is_pipe(name):
                raise InvalidArguments(
                    f"the patch names {name!r}, which is a pipe and not a file",
                    hint="name the file that is to be changed, relative to the root",
                )


def joined(changes: Sequence[FileChange]) -> list[FileChange]:
    """Make one operation of all updates of a file: the second is about what the first one left."""
    first: dict[tuple[str, ...], int] = {}
    hunks: dict[int, list[Hunk]] = {}
    kept: list[FileChange] = []
    for change in changes:
        place = first.setdefault((change.path, *change.longer), len(kept))
        if place < len(kept) and change.op == kept[place].op == "update" and change.hunks and kept[place].hunks:
            more = hunks.setdefault(place, list(kept[place].hunks))
            more += [replace(change.hunks[0], from_top=True), *change.hunks[1:]]
        else:
            kept.append(change)
    return [replace(change, hunks=tuple(hunks[n])) if n in hunks else change for n, change in enumerate(kept)]


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
    return FileChange(op=op, path=change["path"], to=to, content=content, exact_path=True)
