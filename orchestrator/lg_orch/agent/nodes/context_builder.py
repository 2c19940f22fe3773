"""Finds out what every request needs: the size of the repository, its top level, its commit.

These few calls are fixed and belong to no loop of the budget. They run side by side; all of them only read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import ValidationError

from lg_orch.agent.finished_calls import finish
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.model_context import LOOKS, with_model_context
from lg_orch.agent.report_notes import repetition
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.repository import DirectoryEntry, RepoContext, RepoTotals
from lg_orch.contracts.state import ContextRef

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import RunState, Update

TOP_LEVEL_LIMIT = 500
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_REFERENCE = re.compile(r"ref: (refs/[A-Za-z0-9._/-]{1,200})")


async def context_builder(state: RunState, services: Services) -> Update:
    """Build the repository context, keep it in the result store and its digest in the state."""
    found: dict[str, ToolEnvelope] = {}

    async def look(name: str, original: str, arguments: dict[str, Any], why: str) -> None:
        info = services.tools.find(original)
        if info is None:
            return
        queued = services.mint(PlannedCall(id=f"context.{name}", tool=info.name, input=arguments, why=why))
        limit = services.budgets.call_timeout(services.wall_s())
        envelope = await services.tools.call(queued, step="context_builder", timeout_s=limit, may_ask=False)
        found[name] = finish(services, envelope)

    async with anyio.create_task_group() as group:
        group.start_soon(look, "totals", "list_files", {"totals": True, "recursive": True}, "count files and lines")
        group.start_soon(look, "top", "list_files", {"path": "", "limit": TOP_LEVEL_LIMIT}, "list the top level")
        group.start_soon(look, "head", "read_file", {"path": ".git/HEAD"}, "find the commit")
        for name, tool, arguments, why in LOOKS if isinstance(services.backend, ActingBackend) else ():
            group.start_soon(look, name, tool, arguments, why)
    reference = _match(_REFERENCE, found.get("head"))
    if reference is not None:
        await look("ref", "read_file", {"path": f".git/{reference}"}, "find the commit")
    context, remarks = _context(services, found), list[str]()
    if isinstance(services.backend, ActingBackend):
        whole = {name: services.results.whole(brief) for name, brief in found.items()}
        context, remarks = with_model_context(context, whole, services.accepted_guide)
    digest, _size = services.results.put(context)
    spent = state.budgets
    for _ in found:
        spent = spent.with_call(in_loop=False)
    totals = context.totals
    notes = [repetition(brief) for brief in found.values() if brief.artifacts.repeated]
    notes += remarks
    return {
        "guards": state.guards.model_copy(update={"notes": (*state.guards.notes, *notes)}),
        "budgets": spent,
        "repo_context": ContextRef(
            digest=digest,
            root_name=context.root_name,
            revision=context.revision,
            tree=totals.digest if totals else None,
            files=totals.files if totals else None,
            lines=totals.lines if totals else None,
        ),
    }


def _context(services: Services, found: dict[str, ToolEnvelope]) -> RepoContext:
    whole = {name: services.results.whole(brief) for name, brief in found.items()}
    problems = [
        f"{envelope.tool}: {envelope.stderr}"
        for name, envelope in whole.items()
        if not envelope.ok and name in ("totals", "top")
    ]
    totals = _totals(whole.get("totals"), problems)
    entries, cut = _entries(whole.get("top"))
    commit = _match(_COMMIT, whole.get("head")) or _match(_COMMIT, whole.get("ref"))
    return RepoContext(
        root_name=services.root_name,
        root_id=services.root_id,
        revision=commit,
        totals=totals,
        top_level=entries,
        top_level_truncated=cut,
        problems=tuple(problems),
    )


def _totals(envelope: ToolEnvelope | None, problems: list[str]) -> RepoTotals | None:
    if envelope is None or not envelope.ok or not isinstance(envelope.artifacts.structured, dict):
        return None
    try:
        return RepoTotals.model_validate(envelope.artifacts.structured.get("totals"))
    except ValidationError as error:
        problems.append(f"{envelope.tool} returned totals in an unknown form: {error.errors()[0]['msg']}")
        return None


def _entries(envelope: ToolEnvelope | None) -> tuple[tuple[DirectoryEntry, ...], bool]:
    if envelope is None or not envelope.ok or not isinstance(envelope.artifacts.structured, dict):
        return (), False
    listed = envelope.artifacts.structured.get("entries")
    entries = tuple(
        DirectoryEntry(path=str(entry["path"]), type=str(entry["type"]), size=entry.get("size"))
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and "path" in entry and "type" in entry
    )
    return entries, envelope.artifacts.structured.get("truncated") is True


def _match(pattern: re.Pattern[str], envelope: ToolEnvelope | None) -> str | None:
    """The file's text, or its captured part, if all of it matches."""
    if envelope is None or not envelope.ok:
        return None
    found = pattern.fullmatch(envelope.stdout.strip())
    return None if found is None else (found.group(1) if pattern is _REFERENCE else found.group())
