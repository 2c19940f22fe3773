"""Exports a run as OpenTelemetry spans, by the semantic conventions for generative AI, from its events alone.

One span for the run, one for each visit of a node, and below it one for each request to a model (`chat MODEL`) and each
tool call (`execute_tool NAME`). Neither texts nor arguments are exported, only names, numbers and codes.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

    from lg_orch.contracts.events import Event

EXPORTER = "opentelemetry.exporter.otlp.proto.http"
FLUSH_MS = 5_000
"""How long the end of a run waits for its last spans to be sent."""


def check_endpoint(endpoint: str) -> None:
    """Raise `ConfigError` unless spans can be sent there: an http or https address, and the extra is installed."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"trace.otlp_endpoint {endpoint!r} is not an http or https address",
            hint="for example http://127.0.0.1:4318/v1/traces",
        )
    try:
        missing = find_spec(EXPORTER) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise ConfigError("trace.otlp_endpoint needs OpenTelemetry's exporter", hint=extra_command("otel"))


def spans_to(endpoint: str) -> Spans:
    """Return the spans that are sent over OTLP/HTTP by a thread of their own. Raises `ConfigError`."""
    check_endpoint(endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Spans(OTLPSpanExporter(endpoint=endpoint))


def shared_spans_to(endpoint: str) -> Spans:
    """Return spans that are sent with those of all runs of this process. Raises `ConfigError`."""
    check_endpoint(endpoint)
    return Spans(provider=shared_provider(endpoint))


@cache
def shared_provider(endpoint: str) -> TracerProvider:
    """Return what sends the spans of all runs of this process there."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return provider_to(OTLPSpanExporter(endpoint=endpoint))


def provider_to(exporter: SpanExporter) -> TracerProvider:
    """Return what makes spans and sends them."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "lg-orch"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Spans:
    """A listener that opens and ends spans as events come. `provider` is one that outlives the run."""

    def __init__(self, exporter: SpanExporter | None = None, *, provider: TracerProvider | None = None) -> None:
        self._own = provider_to(exporter) if exporter is not None else None
        made = self._own or provider
        if made is None:
            raise ValueError("neither an exporter nor a provider")
        self._tracer = made.get_tracer("lg_orch")
        self._run: Span | None = None
        self._node: Span | None = None
        self._open: dict[str, Span] = {}

    def show(self, event: Event) -> None:
        """Open or end the event's span."""
        if event.name == "run" and event.kind == "node":
            self._of_run(event)
        elif event.kind == "node":
            self._of_node(event)
        elif event.kind == "model":
            self._of_model(event)
        elif event.kind == "tool":
            self._of_tool(event)
        elif event.kind == "verify" and self._node is not None:
            passed, code = bool(event.data.get("ok")), event.data.get("exit_code")
            self._node.add_event("check", {"name": event.name, "ok": passed, "exit_code": -1 if code is None else code})

    def close(self) -> None:
        """End what is open and, where nobody else does, send what is left."""
        for span in (*self._open.values(), self._node, self._run):
            if span is not None and span.is_recording():
                span.end()
        if self._own is not None:
            self._own.force_flush(FLUSH_MS)
            self._own.shutdown()

    def context_of(self, call_id: str) -> dict[str, str]:
        """Return the `traceparent` of a call that goes on, so that the gateway's spans stand below its own."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        if call_id in self._open:
            TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._open[call_id]))
        return carrier

    def _start(self, name: str, parent: Span | None, attributes: dict[str, Any]) -> Span:
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(parent) if parent is not None else None
        known = {key: value for key, value in attributes.items() if value is not None}
        return self._tracer.start_span(name, context=context, attributes=known)

    def _of_run(self, event: Event) -> None:
        if event.phase in ("begin", "resume"):
            self._run = self._start("invoke_agent lg-orch", None, {
                "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "lg-orch",
                "lg.run_id": event.data.get("run_id"),
            })  # fmt: skip
        elif event.phase == "end" and self._run is not None:
            self._run.set_attribute("lg.status", str(event.data.get("status")))
            _end(self._run, failed="" if event.data.get("status") in ("done", "unchecked", "waiting") else "failed")

    def _of_node(self, event: Event) -> None:
        if event.phase == "begin":
            self._node = self._start(f"node {event.name}", self._run, {"lg.node": event.name})
        elif event.phase == "end" and self._node is not None:
            self._node.end()

    def _of_model(self, event: Event) -> None:
        data = event.data
        if event.phase == "begin":
            provider, _, model = event.name.partition(":")
            self._open["model"] = self._start(f"chat {model}", self._node, {
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model,
                "gen_ai.request.max_tokens": data.get("max_reply_tokens"), "lg.role": data.get("role"),
            })  # fmt: skip
        elif event.phase in ("end", "failed", "retry") and "model" in self._open:
            span = self._open.pop("model")
            span.set_attribute("gen_ai.usage.input_tokens", data.get("prompt_tokens", 0))
            span.set_attribute("gen_ai.usage.output_tokens", data.get("completion_tokens", 0))
            if data.get("cost_usd") is not None:
                span.set_attribute("lg.cost_usd", data["cost_usd"])
            _end(span, failed="" if event.phase == "end" else "request_failed")

    def _of_tool(self, event: Event) -> None:
        call_id = str(event.data.get("call_id"))
        if event.phase == "begin":
            self._open[call_id] = self._start(f"execute_tool {event.name}", self._node, {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": event.name,
                "gen_ai.tool.call.id": call_id,
            })  # fmt: skip
        elif event.phase == "end" and call_id in self._open:
            result = event.data.get("result") or {}
            error = (result.get("artifacts") or {}).get("error") or {}
            _end(self._open.pop(call_id), failed=str(error.get("code", "")))


def _end(span: Span, *, failed: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    if failed:
        span.set_attribute("error.type", failed)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
