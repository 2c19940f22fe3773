"""The pipeline of a gateway whose logs or traces say which call they belong to. Others have the plain one."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.pipeline import Pipeline
from lg_gateway.upstreams.replies import Answer
from lg_policy.rules.rule_set import Effect

if TYPE_CHECKING:
    from lg_gateway.observability.tracing import Tracing

current_call: ContextVar[CallContext | None] = ContextVar("current call", default=None)
"""The call that is handled, for lines of the log."""


class ObservedPipeline(Pipeline):
    """Does what the pipeline does, and keeps who is being served. `tracing` may be off."""

    tracing: Tracing | None = None

    async def _steps(self, context: CallContext) -> Answer:
        mark = current_call.set(context)
        try:
            if self.tracing is None:
                return await super()._steps(context)
            from lg_gateway.observability.tracing import ended

            with self.tracing.call(context) as span:
                answer = await super()._steps(context)
                ended(span, answer)
                return answer
        finally:
            current_call.reset(mark)

    async def _read(self, context: CallContext) -> CallContext:
        context = await super()._read(context)
        if self.tracing is not None:
            from lg_gateway.observability.tracing import current_trace

            metadata = context.metadata
            context = context.but(metadata=replace(metadata, trace_id=metadata.trace_id or current_trace()))
        current_call.set(context)
        return context

    async def _check(self, context: CallContext) -> CallContext:
        if self.tracing is None:
            return await super()._check(context)
        decision = context.decision
        with self.tracing.step("policy") as span:
            if decision is not None:
                span.set_attribute("lg.decision", str(decision.effect))
                span.set_attribute("lg.rule", decision.rule)
            return await super()._check(context)

    async def _permit(self, context: CallContext) -> CallContext | Answer:
        asks = not context.recalled and context.decision is not None and context.decision.effect is not Effect.ALLOW
        if self.tracing is None or not asks:
            return await super()._permit(context)
        with self.tracing.step("approval") as span:
            permitted = await super()._permit(context)
            if isinstance(permitted, CallContext) and permitted.approval_id is not None:
                span.set_attribute("lg.approval_id", permitted.approval_id)
            return permitted

    async def _send(self, context: CallContext) -> Answer:
        if self.tracing is None:
            return await super()._send(context)
        from opentelemetry.trace import SpanKind

        from lg_gateway.observability.tracing import METHODS, ended, outgoing

        server, method = context.entry.server, METHODS[context.entry.kind]
        attributes = {
            "mcp.method.name": method,
            "gen_ai.tool.name": context.entry.tool if method == "tools/call" else method,
            "network.transport": "pipe" if server.url is None else "tcp",
            "lg.server": server.name,
        }
        with self.tracing.step(f"{method} {server.name}", SpanKind.CLIENT, **attributes) as span:
            meta: dict[str, Any] = {**context.call.meta, **outgoing()}
            answer = await super()._send(context.but(call=context.call.but(meta=meta)))
            ended(span, answer)
            return answer
