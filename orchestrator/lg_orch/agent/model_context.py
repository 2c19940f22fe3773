"""Collects what a model must know first: all files of a small repository, commands, versions, accepted advice.

It makes one round of read-only calls beside those of the context builder. None of them asks a human.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.check_commands import MANIFESTS, runtimes, scripts
from lg_orch.agent.checks.packages import LOOK, packages
from lg_orch.agent.command_list import commands_of
from lg_orch.contracts.repository import RepoContext
from lg_orch.tools.result_text import middle_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.contracts.envelopes import ToolEnvelope

GUIDE = "AGENTS.md"
MAX_PATHS = 80
"""A repository with more files is shown by its top level only."""
MAX_GUIDE = 8_000
"""Characters of accepted advice that a model is shown."""

MAP_TOKENS = 700
MAX_MAP = MAP_TOKENS * 6
"""Characters of a map that a model is shown, whatever the server says of its tokens."""

LOOKS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("paths", "list_files", {"path": "", "recursive": True, "limit": MAX_PATHS}, "list the files"),
    ("manifests", "read_file", {"paths": [*MANIFESTS, GUIDE]}, "read how the project is checked"),
    ("commands", "list_commands", {}, "list the commands"),
    ("map", "repo_map", {"budget_tokens": MAP_TOKENS}, "see the most important symbols"),
    ("packages", "search_files", LOOK, "find the packages and their tests"),
)
"""Name, built-in tool, arguments and reason of each call."""


def with_model_context(
    context: RepoContext, found: Mapping[str, ToolEnvelope], accepted_guide: str | None
) -> tuple[RepoContext, list[str]]:
    """Return the context with what the calls brought, and notes for the report.

    `accepted_guide` is the SHA-256 of the one text of `AGENTS.md` that the user accepted.
    """
    texts = _texts(found.get("manifests"))
    guide, note = _guide(found.get("manifests"), accepted_guide)
    manifests = {name: text for name, text in texts.items() if name != GUIDE}
    updated = context.model_copy(
        update={
            "paths": _paths(found.get("paths")),
            "commands": commands_of(found.get("commands")),
            "scripts": scripts(manifests),
            "runtimes": runtimes(manifests),
            "packages": packages(_told(found.get("packages")).get("files") or ()),
            "code_map": _map(found.get("map")),
            "guide": guide,
        }
    )
    told = _told(found.get("packages"))
    cut = told.get("partial") or ("there are too many" if told.get("truncated") else "")
    notes = [note] if note else []
    return updated, notes + ([f"some packages were not found, so they are not checked: {cut}"] if cut else [])


def _told(envelope: ToolEnvelope | None) -> dict[str, Any]:
    if envelope is None or not envelope.ok:
        return {}
    return envelope.artifacts.structured or {}


def _read(envelope: ToolEnvelope | None) -> list[dict[str, Any]]:
    files = _told(envelope).get("files")
    return (
        [file for file in files if isinstance(file, dict) and not file.get("error")] if isinstance(files, list) else []
    )


def _texts(envelope: ToolEnvelope | None) -> dict[str, str]:
    return {str(file.get("path")): str(file.get("text", "")) for file in _read(envelope)}


def _guide(envelope: ToolEnvelope | None, accepted: str | None) -> tuple[str, str]:
    file = next((file for file in _read(envelope) if file.get("path") == GUIDE), None)
    if file is None:
        return "", ""
    if accepted is None or file.get("sha256") != accepted:
        why = "was not accepted" if accepted is None else "was changed since it was accepted"
        return "", f"{GUIDE} of the repository {why} and was not used (`lg-orch trust --guide` shows and accepts it)"
    return str(file.get("text", ""))[:MAX_GUIDE], ""


def _map(envelope: ToolEnvelope | None) -> str:
    return middle_out(envelope.stdout.strip(), MAX_MAP) if envelope is not None and envelope.ok else ""


def _paths(envelope: ToolEnvelope | None) -> tuple[str, ...]:
    told = _told(envelope)
    entries = told.get("entries")
    if told.get("truncated") or not isinstance(entries, list):
        return ()
    return tuple(str(entry["path"]) for entry in entries if isinstance(entry, dict) and entry.get("type") == "file")
