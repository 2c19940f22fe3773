"""One call from arrival to ledger. `Pipeline.run` is the whole way, as a list of steps; read it first.

Every refusal is a result a model can read, and one record. Nothing leaves before `begun` is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import anyio
import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.books import Books
from lg_gateway.call import Call, Passage
from lg_gateway.catalog import Catalog, CatalogEntry
from lg_gateway.marks import forwarded_meta, read_marks
from lg_gateway.results import cut, refusal, size, tidy, upstream_refusal
from lg_gateway.upstream import Answer, Upstream, UpstreamCall
from lg_policy.config import Settings
from lg_policy.errors import (
    ApprovalRequired,
    Internal,
    InvalidArguments,
    LgError,
    OutcomeUnknown,
    PolicyDenied,
    TooLarge,
)
from lg_policy.redact import find_marker
from lg_policy.rules import Decision, Effect, RuleBook

log = logging.getLogger(__name__)

RECORD_GRACE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What decides: replaced as a whole when the configuration is reloaded."""

    settings: Settings
    rules: RuleBook


class Pipeline:
    """Everything a call passes. `policy` is asked anew for every call."""

    def __init__(
        self, *, policy: Callable[[], Policy], catalog: Catalog, upstreams: Mapping[str, Upstream], books: Books
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._upstreams = upstreams
        self._books = books

    async def run(self, call: Call) -> Answer:
        """Take one call through every step. Raises `MCPError` -32602 for a tool that the caller cannot see."""
        entry = await self._find(call)
        passage = Passage(call=call, entry=entry)
        try:
            passage = self._read(passage)
            passage = self._decide(passage)
            self._permit(passage)
            await self._books.begun(passage)
        except LgError as error:
            await self._books.refused(passage, error)
            return refusal(error)
        return await self._carry_out(passage)

    def visible(self, identity: str) -> list[CatalogEntry]:
        """Return the tools that an identity may know of, in order."""
        rules = self._policy().rules
        return [entry for entry in self._catalog.entries() if rules.visible(identity=identity, facts=entry.facts)]

    async def _find(self, call: Call) -> CatalogEntry:
        entry = self._catalog.find(call.name)
        if entry is None or not self._policy().rules.visible(identity=call.identity, facts=entry.facts):
            await self._books.unknown_tool(call)
            raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {call.name[:200]}")
        return entry

    def _read(self, passage: Passage) -> Passage:
        """Marks, size, schema, masks: what can be said of the call without knowing who may do what."""
        passage = self._books.describe(passage)
        passage = replace(passage, marks=read_marks(passage.call.meta))
        limit = self._policy().settings.gateway.arguments_max_bytes
        if passage.bytes_in > limit:
            raise TooLarge(f"the arguments have {passage.bytes_in} bytes; the limit is {limit}")
        passage.entry.check.check(passage.call.arguments)
        marker = find_marker(passage.call.arguments)
        if marker is not None:
            raise InvalidArguments(
                f"the arguments contain {marker}, which stands for a value that was hidden",
                hint="leave that part of the text as it is, or read it from where the real value is",
            )
        return passage

    def _decide(self, passage: Passage) -> Passage:
        decision = self._policy().rules.decide(
            identity=passage.call.identity, facts=passage.entry.facts, arguments=passage.call.arguments
        )
        return replace(passage, decision=decision)

    def _permit(self, passage: Passage) -> None:
        decision = passage.decision
        if decision is None or decision.effect is Effect.DENY:
            raise PolicyDenied(_because(decision))
        if decision.effect is Effect.APPROVE:
            raise ApprovalRequired(
                f"a human must approve this call of {passage.entry.name}: {decision.reason}",
                hint="nothing was done",
            )

    async def _carry_out(self, passage: Passage) -> Answer:
        """Send, shape, record. From here on the call may have had an effect."""
        try:
            answer = await self._send(passage)
        except LgError as error:
            outcome = "unknown" if isinstance(error, OutcomeUnknown) else "error"
            await self._books.ended(passage, outcome, code=error.code, detail=error.message)
            return refusal(error)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(RECORD_GRACE_S):
                await self._books.ended(passage, "cancelled")
            raise
        if isinstance(answer, t.InputRequiredResult):
            await self._books.ended(passage, "input_required")
            return answer
        return await self._finish(passage, answer)

    async def _send(self, passage: Passage) -> Answer:
        entry, call = passage.entry, passage.call
        upstream = self._upstreams[entry.server.name]
        try:
            return await upstream.call(
                UpstreamCall(
                    tool=entry.tool,
                    arguments=call.arguments,
                    meta=forwarded_meta(
                        call.meta, passage.marks, builtin=entry.server.builtin is not None, trusted=entry.server.trusted
                    ),
                    timeout_s=entry.server.call_timeout_s,
                    repeatable=entry.read_only,
                    progress=call.progress,
                )
            )
        except MCPError as error:
            raise upstream_refusal(entry.server.name, error) from error

    async def _finish(self, passage: Passage, answer: t.CallToolResult) -> t.CallToolResult:
        result = tidy(answer, passage.entry)
        actual, data = size(result)
        limit = self._policy().settings.gateway.result_max_bytes
        if actual > limit:
            result = cut(result, passage.entry, limit=limit, actual=actual)
        written = await self._books.ended(passage, "error" if result.is_error else "ok", code=_code(result), data=data)
        if not written:
            result = result.model_copy(update={"meta": (result.meta or {}) | {"lg/unrecorded": True}})
        return result


def internal_failure(error: BaseException) -> t.CallToolResult:
    """Log an exception nobody expected and return a result that says nothing about it."""
    log.error("a call failed inside the gateway", exc_info=error)
    return refusal(Internal("the gateway failed; its log says more"))


def _because(decision: Decision | None) -> str:
    return f"{decision.reason} ({decision.rule})" if decision is not None else "no decision"


def _code(result: t.CallToolResult) -> str | None:
    """The error code inside a failed result, as our own servers set it."""
    if not result.is_error or not isinstance(result.structured_content, dict):
        return None
    error = result.structured_content.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code[:64] if isinstance(code, str) else None
