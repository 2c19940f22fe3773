"""What the servers of files make of the roots that they are given: one workspace, and what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lg_policy.config.settings import Settings
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.state import refuse_around_settings, refuse_inside
from lg_policy.tree.workspace import Workspace

_GIT_OBJECTS = (".git/objects/", ".git/modules/**/objects/")


def served_workspace(roots: Sequence[Root], settings: Settings, state: Path) -> Workspace:
    """Return the workspace of opened roots. Raises `ConfigError` where `state` lies inside one of them."""
    for root in roots:
        refuse_inside(state, root.path, "the state directory")
        refuse_around_settings(root.path)
    rules = FileRules.from_settings(settings.policy, extra_deny=closed_directories(settings))
    return Workspace(roots, rules, settings.fs)


def closed_directories(settings: Settings) -> tuple[str, ...]:
    """Return patterns for the directories that are closed to every tool.

    They hold what the system writes about itself, and git's objects, in which every committed file can be found again,
    also one that the rules hide.
    """
    output = settings.trace.output_dir.strip("/")
    traces = (f"/{output}/",) if output and not settings.trace.output_dir.startswith("/") else ()
    return (*traces, *_GIT_OBJECTS)


def tools_meta(workspace: Workspace, roots: Sequence[Root], settings: Settings) -> dict[str, Any]:
    """Return the metadata that each tool carries: which roots it works below, and by which policy."""
    return {
        "lg/root": {"id": _joint_id(roots), "name": ", ".join(place.name for place in workspace.places)},
        "lg/policy": settings.policy_digest(),
    }


def _joint_id(roots: Sequence[Root]) -> str:
    """Return the id of one root, or an id for the set of several."""
    if len(roots) == 1:
        return roots[0].id
    return hashlib.sha256("\0".join(root.id for root in roots).encode()).hexdigest()[:16]
