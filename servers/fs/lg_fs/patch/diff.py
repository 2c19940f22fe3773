"""Unified diffs of what a change set does, for people and for approval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lg_fs.patch.alignment import Opcode, grouped, opcodes
from lg_fs.patch.document import TextLine, load
from lg_fs.reading.encoding import is_binary

_CONTEXT = 3
_NULL = "/dev/null"


@dataclass(frozen=True, kw_only=True)
class FileDiff:
    """The diff of one file, with the number of lines that were added and removed."""

    text: str
    added: int
    removed: int


def _no_check() -> None:
    """Never stop the work."""


def file_diff(
    old_path: str | None,
    new_path: str | None,
    before: bytes | None,
    after: bytes | None,
    *,
    mode: int = 0,
    links: tuple[bool, bool] = (False, False),
    check: Callable[[], None] = _no_check,
) -> FileDiff:
    """Compare two states of a file; `None` means that it does not exist. `mode`: its permission bits.

    `links`: whether the old and the new content are the target of a symbolic link. `check` is called regularly and may
    raise to stop the work.
    """
    kind = "100755" if mode & 0o111 else "100644"
    one_sided = before is None or after is None
    header = _header(old_path, new_path, "120000" if one_sided and any(links) else kind)
    if not one_sided and links[0] != links[1]:
        old_kind, new_kind = ("120000" if link else kind for link in links)
        header += f"old mode {old_kind}\nnew mode {new_kind}\n"
    if is_binary(before or b"") or is_binary(after or b""):
        text = "" if before == after else f"Binary files {_side('a/', old_path)} and {_side('b/', new_path)} differ\n"
        return FileDiff(text=header + text, added=0, removed=0)
    old, new = _lines_of(before, after)
    groups = _groups(old, new, check)
    added = sum(d - c for group in groups for tag, _, _, c, d in group if tag != "equal")
    removed = sum(b - a for group in groups for tag, a, b, _, _ in group if tag != "equal")
    hunks = "".join(_hunk(group, old, new) for group in groups)
    names = f"--- {_side('a/', old_path)}\n+++ {_side('b/', new_path)}\n" if hunks else ""
    return FileDiff(text=header + names + hunks, added=added, removed=removed)


def _lines_of(before: bytes | None, after: bytes | None) -> tuple[tuple[TextLine, ...], tuple[TextLine, ...]]:
    """Return the lines of both states, read in one encoding, so that equal bytes are equal lines."""
    old, new = load(before) if before else None, load(after) if after else None
    if old is not None and new is not None and before is not None and after is not None:
        if old.encoding.guessed and old.encoding != new.encoding:
            new = load(after, old.encoding)
        elif new.encoding.guessed and old.encoding != new.encoding:
            old = load(before, new.encoding)
    return old.lines if old else (), new.lines if new else ()


def _groups(old: tuple[TextLine, ...], new: tuple[TextLine, ...], check: Callable[[], None]) -> list[list[Opcode]]:
    return grouped(opcodes(old, new, check), _CONTEXT)


def _hunk(group: list[Opcode], old: tuple[TextLine, ...], new: tuple[TextLine, ...]) -> str:
    first, last = group[0], group[-1]
    out = [f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"]
    for tag, a, b, c, d in group:
        if tag == "equal":
            out += [_line(" ", line) for line in old[a:b]]
            continue
        out += [_line("-", line) for line in old[a:b]]
        out += [_line("+", line) for line in new[c:d]]
    return "".join(out)


def _range(start: int, stop: int) -> str:
    length = stop - start
    begin = start + 1 if length else start
    return str(begin) if length == 1 else f"{begin},{length}"


def _line(mark: str, line: TextLine) -> str:
    if line.eol:
        end = line.eol if line.eol.endswith("\n") else f"{line.eol}\n"
        return f"{mark}{line.text}{end}"
    return f"{mark}{line.text}\n\\ No newline at end of file\n"


def _header(old_path: str | None, new_path: str | None, mode: str) -> str:
    old, new = old_path or new_path, new_path or old_path
    lines = [f"diff --git a/{old} b/{new}"]
    if old_path is None:
        lines.append(f"new file mode {mode}")
    elif new_path is None:
        lines.append(f"deleted file mode {mode}")
    elif old_path != new_path:
        lines += [f"rename from {old_path}", f"rename to {new_path}"]
    return "\n".join(lines) + "\n"


def _side(prefix: str, path: str | None) -> str:
    return _NULL if path is None else prefix + path
