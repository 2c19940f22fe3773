"""From the arguments of `apply_patch` to a list of file changes; the format is told apart by the first line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lg_fs.patch.codex_format import BEGIN, parse_envelope
from lg_fs.patch.model import FileChange
from lg_fs.patch.search_replace import looks_like_blocks, parse_blocks
from lg_fs.patch.unified_diff import begins_unified, parse_unified
from lg_policy.errors import InvalidArguments

_FORMATS = "begin with '*** Begin Patch', '--- PATH' (unified diff), or PATH and '<<<<<<< SEARCH'"


def parse_patch(text: str) -> list[FileChange]:
    """Parse a patch in any of the three formats. Raises `InvalidArguments`."""
    lines = _lines(text)
    if not lines:
        raise InvalidArguments("patch is empty", hint=_FORMATS)
    first = lines[0]
    if first.rstrip() == BEGIN:
        changes = parse_envelope(lines)
    elif begins_unified(first):
        changes = parse_unified(lines)
    elif looks_like_blocks(lines):
        changes = parse_blocks(lines)
    else:
        raise InvalidArguments(f"patch format not recognised: it begins with {first[:60]!r}", hint=_FORMATS)
    if not changes:
        raise InvalidArguments("patch changes no file", hint=_FORMATS)
    return changes


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


def _lines(text: str) -> list[str]:
    """Split into lines; empty lines around, a Markdown fence around all, and CRLF throughout are dropped."""
    lines = text.split("\n")
    if len(lines) > 1 and all(line.endswith("\r") for line in lines[:-1]):
        lines = [line.removesuffix("\r") for line in lines]
    while lines and not lines[0].strip():
        lines.pop(0)
    if lines and lines[-1] == "":
        lines.pop()
    stripped = [line for line in lines if line.strip()]
    if len(stripped) > 2 and stripped[0].startswith("```") and stripped[-1].strip() == "```":
        lines = lines[1 : len(lines) - 1 - lines[::-1].index(stripped[-1])]
        while lines and not lines[0].strip():
            lines.pop(0)
    return lines
