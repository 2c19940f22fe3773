"""Spans of the gateway's work, as a real receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway.observability.support_observed import logged_gateway, post, tool_call
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, send, server, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASK = '[[gateway.rules]]\ntools = ["a__progress"]\neffect = "approve"\n[approval]\nhold_s = 0\n'


@contextmanager
def receiver() -> Iterator[tuple[str, list[Span]]]:
    """A receiver of OTLP over HTTP; yields its address and the spans that it got."""
    got: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            got.extend(
                span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tracing(endpoint: str) -> str:
    return f'[gateway.tracing]\notlp_endpoint = "{endpoint}"\n'


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


def below(span: Span, spans: list[Span]) -> list[str]:
    return sorted(each.name for each in spans if each.parent_span_id == span.span_id)


async def test_a_call_has_spans_for_each_step_below_its_callers_and_above_its_servers(tmp_path: Path) -> None:
    meta = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with receiver() as (endpoint, spans):
        async with gateway_of(tmp_path, tracing(endpoint), server("a"), ALLOW_ALL) as gateway:
            answer = await send(gateway, "a__meta", {}, meta=meta)

    root = next(span for span in spans if span.name == "tools/call a__meta")
    sent = next(span for span in spans if span.name == "tools/call a")
    assert (root.trace_id.hex(), root.parent_span_id.hex(), root.kind) == (TRACE, PARENT, Span.SPAN_KIND_SERVER)
    assert below(root, spans) == ["policy", "store write", "store write", "tools/call a"]
    assert attributes(root).items() >= {
        "mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "a__meta",
        "lg.server": "a",
    }.items()  # fmt: skip
    assert sent.kind == Span.SPAN_KIND_CLIENT
    assert attributes(sent).items() >= {"gen_ai.tool.name": "meta", "network.transport": "pipe"}.items()
    assert f"00-{TRACE}-{sent.span_id.hex()}-01" in str(answer.structured_content)


async def test_failures_and_questions_are_on_the_spans_by_code_and_without_text(tmp_path: Path) -> None:
    with receiver() as (endpoint, spans):
        async with gateway_of(tmp_path, tracing(endpoint), server("a"), ASK, ALLOW_ALL) as gateway:
            await call(gateway, "a__fail")
            await call(gateway, "a__progress")
            hostile = {"traceparent": "00-" + "z" * 5000, "tracestate": "x" * 100_000}
            await send(gateway, "a__echo", {"text": "secret-argument"}, meta=hostile)

    failed = next(span for span in spans if span.name == "tools/call a__fail")
    asked = next(span for span in spans if span.name == "tools/call a__progress")
    echoed = next(span for span in spans if span.name == "tools/call a__echo")
    assert attributes(failed)["error.type"] == "tool_error"
    assert attributes(asked)["error.type"] == "approval_required"
    assert "approval" in below(asked, spans)
    assert echoed.parent_span_id == b""
    assert "secret-argument" not in str(spans)
    assert not any(span.events for span in spans)


async def test_the_header_of_a_request_is_linked_and_does_not_become_the_parent(tmp_path: Path) -> None:
    with receiver() as (endpoint, spans):
        config = write_config(tmp_path, tracing(endpoint), server("a"), ALLOW_ALL)
        with logged_gateway(tmp_path / "log", "--no-login", "--config", str(config)) as (url, _):
            header = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            await anyio.to_thread.run_sync(lambda: post(url, tool_call("a__echo", {"text": "hi"}), **header))

    root = next(span for span in spans if span.name == "tools/call a__echo")
    assert root.parent_span_id == b""
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in root.links] == [(TRACE, PARENT)]


async def test_a_receiver_that_is_gone_disturbs_no_call(tmp_path: Path) -> None:
    with receiver() as (endpoint, _spans):
        pass
    async with gateway_of(tmp_path, tracing(endpoint), server("a"), ALLOW_ALL) as gateway:
        answer = await call(gateway, "a__echo", text="hi")

    assert not answer.is_error
