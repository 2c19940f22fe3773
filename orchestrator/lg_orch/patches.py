"""Which files a call of `apply_patch` would change, read from its arguments alone.

Not covered: whether the patch fits, or whether a file to be added exists; the file server decides that. This is for
rules of the run, such as reading a file before changing it, and for reports.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lg_orch.models_io import ToolEnvelope
    from lg_orch.services import Services

_ENVELOPE = re.compile(r"^\*\*\* (Update|Delete) File: (.+)$", re.MULTILINE)
_OLD_NAME = re.compile(r"^--- (?:a/)?([^\t\n]+)", re.MULTILINE)
_SEARCH = re.compile(r"^<{5,9} SEARCH:?\s*$")
_DIVIDER = re.compile(r"^={5,9}\s*$")


def changed_paths(arguments: Mapping[str, Any]) -> list[str]:
    """Paths of files that must exist for the patch: what is updated, deleted or moved, in order, each once."""
    patch, changes = arguments.get("patch"), arguments.get("changes")
    found: list[str] = []
    if isinstance(patch, str):
        found += _of_text(patch)
    for change in changes if isinstance(changes, list) else ():
        if isinstance(change, dict) and change.get("op") in ("update", "delete", "move"):
            found.append(str(change.get("path", "")))
    return list(dict.fromkeys(normal(path) for path in found if path.strip()))


def written_paths(result: ToolEnvelope) -> list[str]:
    """Paths that a patch which was applied wrote, by the server's own word; empty for a dry run and for a failure."""
    told = result.artifacts.structured or {}
    if not result.ok or told.get("dry_run") or not isinstance(told.get("files"), list):
        return []
    return [normal(str(file.get("to") or file.get("path", ""))) for file in told["files"] if isinstance(file, dict)]


def has_effect(services: Services, result: ToolEnvelope) -> bool:
    """Whether a call, whole, may have changed the project: a patch that was applied, files that a command wrote back.

    Of a tool that is not ours nothing is known but that it does not only read; one that came back counts.
    """
    info = next((tool for tool in services.tools.tools if tool.name == result.tool), None)
    if info is None or info.read_only or not result.ok:
        return False
    if not info.builtin:
        return True
    return bool(written_paths(result) or (result.artifacts.structured or {}).get("changed_paths"))


def read_paths(result: ToolEnvelope) -> list[str]:
    """Paths that a call of `read_file` showed text of: the real ones and, of a link, the one that was asked for."""
    if not result.ok:
        return []
    told, asked = result.artifacts.structured or {}, result.artifacts.input
    files = told.get("files")
    if not isinstance(files, list):
        return [normal(str(told.get("path") or asked.get("path", "")))]
    names = asked["paths"] if isinstance(asked.get("paths"), list) else [asked.get("path", "")]
    names = names if len(names) == len(files) else [""] * len(files)
    shown = [(one.get("path", ""), name) for one, name in zip(files, names, strict=True) if not one.get("error")]
    return [normal(str(path)) for pair in shown for path in pair if path]


def normal(path: str) -> str:
    """One spelling for one path: no `./`, no doubled or trailing slashes."""
    return "/".join(part for part in path.strip().strip("`").split("/") if part not in ("", "."))


def _of_text(patch: str) -> Iterator[str]:
    lines = patch.replace("\r\n", "\n").split("\n")
    if "*** Begin Patch" in patch:
        yield from (path for _, path in _ENVELOPE.findall(patch))
    elif any(_SEARCH.match(line) for line in lines):
        yield from _of_blocks(lines)
    else:
        yield from (path for path in _OLD_NAME.findall(patch) if path.strip() != "/dev/null")


def _of_blocks(lines: Sequence[str]) -> Iterator[str]:
    path = ""
    inside = False
    for number, line in enumerate(lines):
        if _SEARCH.match(line):
            inside = True
            following = lines[number + 1] if number + 1 < len(lines) else ""
            if path and not _DIVIDER.match(following):
                yield path
        elif line.startswith(">>>>>") and inside:
            inside = False
        elif not inside and line.strip() and not line.startswith("```"):
            path = line
