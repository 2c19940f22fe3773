"""Tells which files a call changed, or would change, as the server reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.tools.effects import PATCHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope


def touched_paths(result: ToolEnvelope) -> list[str]:
    """Return the resolved names of the files that a change set touches; of moved files both names.

    This works for a dry run too.
    """
    told = (result.artifacts.structured or {}).get("files")
    if not result.ok or not isinstance(told, list):
        return []
    names = [str(file[key]) for file in told if isinstance(file, dict) for key in ("path", "to") if file.get(key)]
    return list(dict.fromkeys(names))


def written_paths(services: Services, result: ToolEnvelope) -> list[str]:
    """Return the files that a patch wrote or removed, by their current names; empty unless a patch was applied."""
    info, told = services.tools.named(result.tool), result.artifacts.structured or {}
    if info is None or not info.builtin or info.original not in PATCHING or not result.ok or told.get("dry_run"):
        return []
    return [str(file.get("to") or file.get("path")) for file in told.get("files", ()) if isinstance(file, dict)]


def changes_files(services: Services, tool: str) -> bool:
    """Tell whether a tool of that qualified name is there to change files, also where the gateway does not list it."""
    info = services.tools.named(tool)
    if info is None:
        return tool.rpartition("__")[2] in PATCHING
    return info.builtin and info.original in PATCHING


def change_of(services: Services, result: ToolEnvelope) -> Mapping[str, Any]:
    """Return what a call changed, as our own servers report it; empty if it changed nothing."""
    info, told = services.tools.named(result.tool), result.artifacts.structured or {}
    if info is None or not info.builtin or info.read_only or not result.ok or told.get("dry_run"):
        return {}
    return told if told.get("files") or told.get("changed_paths") else {}


def has_effect(services: Services, result: ToolEnvelope) -> bool:
    """Tell whether a call may have changed the project: by an applied patch, or by files that a command wrote back.

    A tool of another server may have any effect unless it only reads, so a call of it that returned counts.
    """
    info = services.tools.named(result.tool)
    if info is None or info.read_only or not result.ok:
        return False
    return bool(changed_paths(services, result)) if info.builtin else True


def changed_paths(services: Services, result: ToolEnvelope) -> list[str]:
    """Return the files that a call changed, as our own servers report them; empty for dry runs and tools of others."""
    info = services.tools.named(result.tool)
    told = result.artifacts.structured or {}
    if info is None or not info.builtin or info.read_only or told.get("dry_run"):
        return []
    written = told.get("changed_paths")
    return [str(path) for path in written] if isinstance(written, list) else touched_paths(result)
