"""Runs of a worker as spans: those of its gateway stand below those of the run."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lg_orch.runs.spans import _shared_provider
from tests.orchestrator.runs.test_spans import Collector
from tests.orchestrator.service.serving import serving

if TYPE_CHECKING:
    from pathlib import Path


def test_the_gateways_spans_of_a_call_stand_below_those_of_the_run(tmp_path: Path) -> None:
    root, config, bodies = tmp_path / "repo", tmp_path / "settings.toml", list[bytes]()
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a thing.\n")
    collector = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Collector,), {"bodies": bodies}))
    thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"
    config.write_text(f'[trace]\notlp_endpoint = "{endpoint}"\n[gateway.tracing]\notlp_endpoint = "{endpoint}"\n')
    try:
        with serving(root, "--config", str(config)) as api:
            run_id = api.create("summarize repo")
            assert api.until(run_id, "done", "failed", "refused")["state"] == "done"
            _shared_provider(endpoint).force_flush()
        # The service has ended, and its gateway with it: that sends what is left.
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    runs = [span for span in spans if span.name == "invoke_agent lg-orch"]
    assert len(runs) == 1
    calls = {span.span_id: span.name for span in spans if span.name.startswith("execute_tool ")}
    served = [span for span in spans if span.name.startswith("tools/call ") and span.kind == span.SPAN_KIND_SERVER]
    assert served
    for span in served:
        assert span.trace_id == runs[0].trace_id
        assert calls[span.parent_span_id].removeprefix("execute_tool ") == span.name.removeprefix("tools/call ")
