"""Unified diffs of what a change set does, for people and for approval."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

from lg_fs.patch.document import TextLine, load
from lg_fs.reading.encoding import is_binary

_CONTEXT = 3
_MAX_COMPARED = 6_000
_MAX_EXACT = 1_000  # above, lines that repeat a lot are not used as landmarks: exactness costs quadratic time
_NULL = "/dev/null"


@dataclass(frozen=True, kw_only=True)
class FileDiff:
    """The diff of one file, with the number of lines that were added and removed."""

    text: str
    added: int
    removed: int


def file_diff(
    old_path: str | None, new_path: str | None, before: bytes | None, after: bytes | None, *, mode: int = 0
) -> FileDiff:
    """Compare two states of a file; `None` for a state in which it does not exist. `mode`: its permission bits."""
    header = _header(old_path, new_path, "100755" if mode & 0o111 else "100644")
    if is_binary(before or b"") or is_binary(after or b""):
        text = "" if before == after else f"Binary files {_side('a/', old_path)} and {_side('b/', new_path)} differ\n"
        return FileDiff(text=header + text, added=0, removed=0)
    old = load(before).lines if before else ()
    new = load(after).lines if after else ()
    groups = _groups(old, new)
    added = sum(d - c for group in groups for tag, _, _, c, d in group if tag != "equal")
    removed = sum(b - a for group in groups for tag, a, b, _, _ in group if tag != "equal")
    hunks = "".join(_hunk(group, old, new) for group in groups)
    names = f"--- {_side('a/', old_path)}\n+++ {_side('b/', new_path)}\n" if hunks else ""
    return FileDiff(text=header + names + hunks, added=added, removed=removed)


Opcode = tuple[str, int, int, int, int]


def _groups(old: tuple[TextLine, ...], new: tuple[TextLine, ...]) -> list[list[Opcode]]:
    """Groups of opcodes with their context. The equal head and tail are skipped first: they are most of a file."""
    head = 0
    while head < len(old) and head < len(new) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < len(old) - head and tail < len(new) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if head == len(old) == len(new):
        return []
    start = max(0, head - _CONTEXT)
    keep = max(0, tail - _CONTEXT)
    a, b = old[start : len(old) - keep], new[start : len(new) - keep]
    if len(a) + len(b) > _MAX_COMPARED:
        return [_whole(head, tail, old, new)]
    grouped = SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > _MAX_EXACT).get_grouped_opcodes(_CONTEXT)
    return [[(t, i + start, j + start, k + start, m + start) for t, i, j, k, m in group] for group in grouped]


def _whole(head: int, tail: int, old: tuple[TextLine, ...], new: tuple[TextLine, ...]) -> list[Opcode]:
    """One hunk that replaces everything between head and tail: files this different are not compared line by line."""
    start, end_old, end_new = max(0, head - _CONTEXT), len(old) - tail, len(new) - tail
    after = min(_CONTEXT, tail)
    return [
        ("equal", start, head, start, head),
        ("replace", head, end_old, head, end_new),
        ("equal", end_old, end_old + after, end_new, end_new + after),
    ]


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
        return f"{mark}{line.text}{line.eol}"
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
