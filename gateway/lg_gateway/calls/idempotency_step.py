"""Answers repeated calls: a call with a known idempotency key gets the recorded outcome.

A row says which call a key stands for. The ledger says that this call was begun: rows carry no code, records do.

If the call was begun and has no outcome, there are three cases. It still runs somewhere: `conflict`. Repeating it is
harmless: it is made again under the same key. Otherwise it is not known whether it took effect, and the error says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio
import mcp_types as t

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.calls.call import CallContext
from lg_gateway.calls.idempotency import IdempotencyRecord, idempotency_step
from lg_gateway.calls.recorder import LedgerRecorder
from lg_gateway.calls.task_step import TaskStep
from lg_gateway.processes.process_names import is_here, may_live, this_process
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_policy.config.settings import Settings
from lg_policy.errors import Internal, OutcomeUnknown, StillRunning

GRACE_S = 60.0
"""How long a call on another machine may outlast its own time limit."""


class IdempotencyStep:
    """Looks up earlier calls. `running` has the calls of this process that are not answered yet."""

    def __init__(
        self,
        store: Store,
        recorder: LedgerRecorder,
        approvals: ApprovalTable,
        settings: Callable[[], Settings],
        running: Mapping[str, anyio.Event],
        *,
        tasks: TaskStep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._approvals = approvals
        self._settings = settings
        self._running = running
        self._tasks = tasks
        self._clock = clock

    async def look(self, context: CallContext) -> CallContext | t.CallToolResult:
        """Return the recorded outcome of the call's key, or the call itself if it may be made (again).

        Raises `Conflict` (another call, or still running), `OutcomeUnknown`, `Internal` (the record cannot be read).
        """
        if context.metadata.key is None or context.pending is not None:
            return context

        def read(tx: Tx) -> tuple[IdempotencyRecord | None, dict[str, Any] | None, str | None]:
            effect = idempotency_step(tx, context)
            if effect is None:
                return None, None, None
            begun = self._recorder.begun_as(tx, context, effect.request_id)
            return effect, begun, self._recorder.outcomes.read(tx, effect.request_id) if effect.ended else None

        try:
            effect, begun, text = await self._store.read(read)
        except StoreError as error:
            raise Internal(f"cannot read the record of earlier calls; nothing was done ({error})") from error
        if effect is None:
            return context
        if effect.ended:
            return await self._replayed(context, effect, text)
        here = self._running.get(effect.request_id)
        if here is not None:
            # The caller repeats a call that still runs here: both get the same answer.
            await here.wait()
            return await self.look(context)
        task = await self._tasks.still_running(context, effect.request_id)
        return task if task is not None else await self._lost(context, effect, begun)

    async def _lost(self, context: CallContext, effect: IdempotencyRecord, begun: dict[str, Any] | None) -> CallContext:
        """Return a call whose outcome is not known, if it may be made again."""
        if self._still_runs(context, effect):
            raise StillRunning("this call is still running", hint="wait, then repeat the call to get its outcome")
        # Repeating needs no new yes, so the row alone is not believed: the chain must have its call.
        if begun is None or not self._may_repeat(context):
            raise OutcomeUnknown(
                "this call was begun before and its outcome was lost",
                hint="check whether it took effect; if it did not, repeat it under a new key",
                begun_before=True,
            )
        return await self._as_before(context, effect.request_id, begun["approval_id"])

    async def _replayed(self, context: CallContext, effect: IdempotencyRecord, text: str | None) -> t.CallToolResult:
        if text is None:
            raise OutcomeUnknown(
                "this call took place, but its outcome is no longer kept",
                hint="check what it did; do not repeat it blindly",
                begun_before=True,
            )
        await self._recorder.ended(context, "replayed", detail=f"outcome of {effect.request_id}")
        result = t.CallToolResult.model_validate_json(text)
        return result.model_copy(update={"meta": (result.meta or {}) | {"lg/replayed": True}})

    def _still_runs(self, context: CallContext, effect: IdempotencyRecord) -> bool:
        """Whether a call that was begun may yet get its outcome from the gateway that began it."""
        if effect.holder == this_process():
            return False  # it ended here without an outcome: cancelled, or timed out
        if is_here(effect.holder):
            return may_live(effect.holder)
        return self._clock() < effect.created + context.entry.server.call_timeout_s + GRACE_S

    def _may_repeat(self, context: CallContext) -> bool:
        """Whether repeating the call is harmless: it only reads, its server knows the key, or it is declared so."""
        if context.entry.read_only or context.entry.idempotent or context.entry.knows_keys:
            return True
        template = self._settings().exec.commands.get(str(context.call.arguments.get("cmd")))
        return context.entry.server.builtin == "exec" and template is not None and template.rerun

    async def _as_before(self, context: CallContext, request_id: str, approval_id: str | None) -> CallContext:
        """Repeat a lost call exactly as it was approved, with the hashes that its preview saw."""
        context = replace(context, recalled=True, recalled_from=request_id, approval_id=approval_id)
        if approval_id is None:
            return context
        approval = await self._store.read(lambda tx: self._approvals.get(tx, approval_id, 0.0))
        return replace(context, expected=approval.expected) if approval is not None else context
