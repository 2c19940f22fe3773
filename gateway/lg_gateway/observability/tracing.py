"""Opens spans for the steps of calls and sends them over OTLP/HTTP. Nothing here is imported while it is off.

Names follow OpenTelemetry's conventions for MCP and generative AI as they were in November 2026; they are still in
development there, so the ones below stay as they are. A `traceparent` in a request's `_meta` is the parent of the
call's span; one in an HTTP header is linked, since it names the connection's work rather than the call's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lg_gateway.calls.call import CallContext
from lg_gateway.store.interface import Store, Tx
from lg_gateway.upstreams.replies import Answer
from lg_policy.errors import ConfigError, LgError
from lg_policy.install_hints import extra_command
from lg_policy.rules.rule_set import Kind

T = TypeVar("T")
HEADER_CHARACTERS = 512
FLUSH_MS = 5_000
"""How long the end of the gateway waits for its last spans to be sent."""
METHODS = {
    Kind.TOOL: "tools/call",
    Kind.RESOURCE: "resources/read",
    Kind.PROMPT: "prompts/get",
    Kind.COMPLETION: "completion/complete",
}
TOOL_ERROR = "tool_error"
linked_header: ContextVar[str] = ContextVar("traceparent header", default="")
"""The `traceparent` of the HTTP request that is handled."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """The spans of one gateway process."""

    def __init__(self, endpoint: str) -> None:
        """Raise `ConfigError` if the exporter is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise ConfigError(
                "gateway.tracing.otlp_endpoint needs OpenTelemetry's exporter", hint=extra_command("otel")
            ) from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": "lg-gateway"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("lg_gateway")

    def close(self) -> None:
        """Send what is left. Blocks for some seconds if nobody takes it."""
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()

    @staticmethod
    def note_request(request: Any) -> None:
        """Remember the `traceparent` of the HTTP request that is handled, to link it."""
        linked_header.set(str(request.headers.get("traceparent", ""))[:HEADER_CHARACTERS])

    @contextmanager
    def call(self, context: CallContext) -> Iterator[Span]:
        """Open the span of a call, below the caller's span if the call names one."""
        method = METHODS[context.entry.kind]
        parent = _PROPAGATOR.extract(_carrier(context.call.meta))
        header = trace.get_current_span(_PROPAGATOR.extract({"traceparent": linked_header.get()})).get_span_context()
        attributes = {
            "mcp.method.name": method,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": context.entry.name,
            "lg.server": context.entry.server.name,
            "lg.request_id": context.request_id,
        }
        links = [Link(header)] if header.is_valid else []
        with self._tracer.start_as_current_span(
            f"{method} {context.entry.name}",
            parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            links=links,
            record_exception=False,  # its text may be the server's or the caller's
            set_status_on_exception=False,
        ) as span:
            yield span

    @contextmanager
    def step(self, name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: str) -> Iterator[Span]:
        """Open the span of a step, below the span that is open."""
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except LgError as error:
                failed(span, error.code)
                raise


def failed(span: Span, code: str) -> None:
    """Mark a span as failed, by a code and no text."""
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def ended(span: Span, answer: Answer) -> None:
    """Say on a span how its call ended."""
    result = getattr(answer, "is_error", None)
    if result:
        structured = getattr(answer, "structured_content", None)
        error = structured.get("error") if isinstance(structured, dict) and _is_ours(answer) else None
        failed(span, str(error["code"]) if isinstance(error, dict) and "code" in error else TOOL_ERROR)


def outgoing() -> dict[str, str]:
    """Return what tells a server below which span its own belong."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def current_trace() -> str | None:
    """Return the id of the trace that is open."""
    context: SpanContext = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


class TracedStore:
    """A store whose transactions get spans, where they belong to a call."""

    def __init__(self, store: Store, tracing: Tracing) -> None:
        self._store = store
        self._tracing = tracing

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """See `Store.write`."""
        if not trace.get_current_span().is_recording():
            return await self._store.write(work, durable=durable)
        with self._tracing.step("store write"):
            return await self._store.write(work, durable=durable)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read`."""
        if not trace.get_current_span().is_recording():
            return await self._store.read(work)
        with self._tracing.step("store read"):
            return await self._store.read(work)

    def read_now(self, work: Callable[[Tx], T]) -> T:
        """See `Store.read_now`."""
        return self._store.read_now(work)

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()


def _carrier(meta: Mapping[str, Any]) -> dict[str, str]:
    found = {name: meta.get(name) for name in ("traceparent", "tracestate")}
    return {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= HEADER_CHARACTERS}


def _is_ours(answer: Answer) -> bool:
    return (getattr(answer, "meta", None) or {}).get("lg/gateway") is True
