"""Records what a call changed, for `undo`, `runs show --diff` and the trace, which read nothing else.

Only the built-in servers' own statements count; another server could name change sets that it did not make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.tools.tool_info import ToolInfo

PATCHING = ("apply_patch", "revert_patch")
MAX_PATHS = 200
_FILE = ("path", "op", "to", "before_sha256", "after_sha256")


def effect_kind(info: ToolInfo | None, arguments: Mapping[str, Any]) -> str:
    """Return what a call may change: `none`, `patch` (a change set), `command` (what it wrote), `other`.

    Another server's claim that a tool only reads decides what the user is told after an undo, and nothing else.
    """
    if info is None:
        return "none"
    if info.root_id is not None and info.original in PATCHING:
        return "none" if arguments.get("dry_run") is True else "patch"
    if info.root_id is not None and info.original == "exec":
        return "command"
    return "none" if info.read_only else "other"


def effects_of(envelope: ToolEnvelope, info: ToolInfo | None) -> dict[str, Any]:
    """Return `{"patch": …}` for a change set, `{"changed_paths": …}` for what a command wrote that has none."""
    structured = envelope.artifacts.structured
    if info is None or info.root_id is None or structured is None:
        return {}
    if info.original in PATCHING or (info.original == "exec" and structured.get("change_id")):
        return _patch(envelope, info, structured)
    paths = structured.get("changed_paths")
    if info.original == "exec" and isinstance(paths, list) and paths:
        return {"changed_paths": [str(path) for path in paths[:MAX_PATHS]]}
    return {}


def _patch(envelope: ToolEnvelope, info: ToolInfo, structured: dict[str, Any]) -> dict[str, Any]:
    if not structured.get("change_id") or structured.get("dry_run"):
        return {}
    reverts = envelope.artifacts.input.get("change_id") if info.original == "revert_patch" else None
    return {"patch": {
        "change_id": str(structured["change_id"]),
        "reverts": reverts,
        "call_id": envelope.artifacts.call_id,
        "files": [_file(file) for file in structured.get("files", ())],
        "added": structured.get("added", 0),
        "removed": structured.get("removed", 0),
    }}  # fmt: skip


def _file(file: Mapping[str, Any]) -> dict[str, Any]:
    """Return one file of a change set. Of a link only the file server can tell whether it is as it was left."""
    hashes = {"before_sha256": "", "after_sha256": ""} if file.get("link") else {}
    return {name: file.get(name) for name in _FILE} | hashes
