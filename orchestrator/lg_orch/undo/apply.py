"""Reverts a run's change sets through the gateway: checks first, then reverts, the newest first."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.state import QueuedCall
from lg_orch.human.approvals import HumanAnswer, Question
from lg_orch.human.inquiry import record
from lg_orch.runs.timeline import UNDO_CALLS
from lg_orch.tools.effects import effects_of
from lg_orch.undo.plan import UNKNOWN, conflicts, without_reverted
from lg_policy.errors import Conflict, NotFound

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.recording.event_bus import EventBus
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.runs.timeline import Patch
    from lg_orch.tools.gateway_tools import GatewayTools
    from lg_orch.tools.tool_info import ToolInfo
    from lg_orch.undo.plan import Undoing

STEP = "undo"
_CHUNK = 50
_LISTED = 500


class Assent:
    """The user asked for exactly this: yes to the gateway's question about it, and a line in the journal."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Say yes to an approval, nothing to anything else."""
        if question.kind != "approval":
            return None
        verdict = HumanAnswer(decision="once", by="lg-orch undo")
        record(self._bus, question.tool, question.key, verdict)
        return verdict


class Undoer:
    """Undoes one run; every call is journalled with the run, as the user's act (step `undo`)."""

    def __init__(self, tools: GatewayTools, bus: EventBus, results: ResultStore, run_id: str, timeout_s: float) -> None:
        self._tools = tools
        self._bus = bus
        self._results = results
        self._run_id = run_id
        self._timeout_s = timeout_s

    async def look(self, undoing: Undoing) -> tuple[Undoing, list[str]]:
        """Return what is left to revert, and what stands in the way, each a sentence.

        Raises `NotFound` when the gateway offers no file server of ours.
        """
        kept = await self._call(self._tool("list_changes"), {"limit": _LISTED})
        rows = (kept.artifacts.structured or {}).get("changes", ())
        reverted = {str(row["change_id"]): row["reverted_by"] for row in rows}
        left = without_reverted(undoing, reverted)
        return left, conflicts(left, await self._hashes(left.paths), reverted)

    async def take_back(self, patch: Patch) -> None:
        """Revert one change set. Raises `Conflict` with the server's words when the change set cannot be reverted."""
        envelope = await self._call(self._tool("revert_patch"), {"change_id": patch.change_id})
        if envelope.artifacts.error is not None:
            raise Conflict(f"change set {patch.change_id} of step {patch.step}: {envelope.artifacts.error.message}")

    async def _hashes(self, paths: tuple[str, ...]) -> dict[str, str | None]:
        """SHA-256 of each file, `None` for one that is not there, `UNKNOWN` for one that cannot be read as text."""
        found: dict[str, str | None] = {}
        for at in range(0, len(paths), _CHUNK):
            asked = list(paths[at : at + _CHUNK])
            envelope = await self._call(self._tool("read_file"), {"paths": asked, "line_count": 1})
            for path, entry in zip(asked, (envelope.artifacts.structured or {}).get("files", ()), strict=False):
                found[path] = _hash(entry)
        return {path: found.get(path, UNKNOWN) for path in paths}

    def _tool(self, original: str) -> ToolInfo:
        info = self._tools.find(original)
        if info is None:
            raise NotFound(f"the gateway offers no {original} of the file server", hint="`lg-orch doctor` says more")
        return info

    async def _call(self, info: ToolInfo, arguments: dict[str, Any]) -> ToolEnvelope:
        token = secrets.token_hex(8)
        call = PlannedCall(id=f"{UNDO_CALLS}{token[:6]}", tool=info.name, input=arguments, why="undo")
        queued = QueuedCall(call=call, key=f"{self._run_id}:{token}")
        envelope = await self._tools.call(queued, step=STEP, timeout_s=self._timeout_s)
        brief = self._results.brief(envelope)
        self._bus.emit("tool", info.name, "end", {
            "call_id": call.id, "result": brief.model_dump(mode="json"), **effects_of(envelope, info),
        })  # fmt: skip
        return envelope


def _hash(entry: dict[str, Any]) -> str | None:
    error = entry.get("error")
    if error is None:
        return str(entry["sha256"])
    return None if error.get("code") == "not_found" else UNKNOWN
