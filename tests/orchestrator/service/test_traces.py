"""Runs of a worker as spans: those of its gateway stand below those of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lg_orch.runs.spans import shared_provider
from tests.orchestrator.runs.collector import collecting, spans_of
from tests.orchestrator.service.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def test_the_gateways_spans_of_a_call_stand_below_those_of_the_run(tmp_path: Path) -> None:
    root, config = tmp_path / "repo", tmp_path / "settings.toml"
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a thing.\n")
    with collecting() as (endpoint, bodies):
        config.write_text(f'[trace]\notlp_endpoint = "{endpoint}"\n[gateway.tracing]\notlp_endpoint = "{endpoint}"\n')
        with serving(root, "--config", str(config)) as api:
            run_id = api.create("summarize repo")
            assert api.until(run_id, "done", "failed", "refused")["state"] == "done"
            shared_provider(endpoint).force_flush()
        # The service has ended, and its gateway with it: that sends what is left.
    spans = spans_of(bodies)
    runs = [span for span in spans if span.name == "invoke_agent lg-orch"]
    assert len(runs) == 1
    calls = {span.span_id: span.name for span in spans if span.name.startswith("execute_tool ")}
    served = [span for span in spans if span.name.startswith("tools/call ") and span.kind == span.SPAN_KIND_SERVER]
    assert served
    for span in served:
        assert span.trace_id == runs[0].trace_id
        assert calls[span.parent_span_id].removeprefix("execute_tool ") == span.name.removeprefix("tools/call ")
