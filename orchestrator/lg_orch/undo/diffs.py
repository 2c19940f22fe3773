"""Makes diffs of what a run changed, forwards and reversed. Pure text work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_policy.errors import NotFound

if TYPE_CHECKING:
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.runs.timeline import Patch

_HUNK = re.compile(r"@@ -(\S+) \+(\S+) @@(.*)", re.DOTALL)


def diff_of(patch: Patch, results: ResultStore) -> str:
    """Return the change set's unified diff; a sentence instead when the whole result is no longer kept."""
    try:
        structured = results.whole(patch.result).artifacts.structured or {}
    except NotFound:
        names = ", ".join(str(file["path"]) for file in patch.files)
        return f"(the diff of {patch.change_id} is no longer kept; files: {names})\n"
    if "diff" not in structured:  # the change set of a command
        names = "".join(f"#   {file['op']} {file['path']}\n" for file in patch.files)
        return f"# changed by a command, which has no diff:\n{names}"
    return str(structured["diff"])


def reversed_diff(text: str) -> str:
    """Return the reversed diff: what reverting the change does."""
    out: list[str] = []
    changes: list[str] = []
    in_hunk = False
    for line in text.splitlines(keepends=True):
        if in_hunk and line.startswith("\\") and changes:
            changes[-1] += line  # the remark on a missing line end belongs to its line
            continue
        if in_hunk and line[:1] in ("+", "-"):
            changes.append(("-" if line.startswith("+") else "+") + line[1:])
            continue
        out += _ordered(changes)
        changes = []
        hunk = _HUNK.fullmatch(line)
        in_hunk = hunk is not None or (in_hunk and line[:1] in (" ", "\\"))
        out.append(f"@@ -{hunk[2]} +{hunk[1]} @@{hunk[3]}" if hunk is not None else line)
    return "".join(_headers([*out, *_ordered(changes)]))


def _ordered(changes: list[str]) -> list[str]:
    """Removed lines before added ones, as everybody writes them."""
    return sorted(changes, key=lambda line: line[0] == "+")


def _headers(lines: list[str]) -> list[str]:
    """Swap what the lines above a file's hunks say about old and new."""
    out: list[str] = []
    for line in lines:
        previous = out[-1] if out else ""
        if line.startswith("+++ ") and previous.startswith("--- "):
            out[-1:] = [f"--- {_other(line[4:])}", f"+++ {_other(previous[4:])}"]
        elif line.startswith("rename to ") and previous.startswith("rename from "):
            out[-1:] = [f"rename from {line[10:]}", f"rename to {previous[12:]}"]
        elif line.startswith("new file mode"):
            out.append(line.replace("new file mode", "deleted file mode", 1))
        elif line.startswith("deleted file mode"):
            out.append(line.replace("deleted file mode", "new file mode", 1))
        else:
            out.append(line)
    return out


def _other(name: str) -> str:
    """`a/x` as `b/x` and the other way round."""
    return {"a/": "b/", "b/": "a/"}.get(name[:2], name[:2]) + name[2:]
