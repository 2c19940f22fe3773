"""Runs as OpenTelemetry spans: what is sent, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lg_orch.runs.spans import Spans, check_endpoint, spans_to
from lg_orch.testing import ScriptedModel, calls, text
from lg_policy.errors import ConfigError
from tests.orchestrator.llm.workshop import DONE, READ, patch, settings_for, shop
from tests.orchestrator.runs.collector import collecting, spans_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_each_request_and_each_call_is_a_span_below_the_node_that_made_it(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    spans = Spans(exporter)
    with ScriptedModel([READ, calls(("fs__read_file", {"path": "nowhere.py"})), patch(), text(DONE)]) as model:
        async with shop(tmp_path, settings_for(model), listeners=(spans,)) as made:
            await made.go()
    spans.close()
    found = exporter.get_finished_spans()
    names = [span.name for span in found]
    assert names.count("chat scripted") == 4
    assert "execute_tool fs__apply_patch" in names
    by_id = {span.context.span_id: span.name for span in found if span.context is not None}
    parents = {span.name: by_id[span.parent.span_id] for span in found if span.parent is not None}
    assert parents["chat scripted"] == "node executor"
    chat = next(span for span in found if span.name == "chat scripted")
    assert chat.attributes is not None
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert chat.attributes["gen_ai.usage.input_tokens"] == model.prompt_tokens[0]
    errors = {span.attributes["error.type"] for span in found if span.attributes and "error.type" in span.attributes}
    assert errors == {"not_found"}
    assert "return a - b" not in "".join(span.to_json() for span in found), "texts are not exported"


async def test_spans_reach_a_collector_over_otlp(tmp_path: Path) -> None:
    with collecting() as (endpoint, bodies):
        spans = spans_to(endpoint)
        with ScriptedModel([text("In `calc.py:1`.")]) as model:
            async with shop(tmp_path, settings_for(model), listeners=(spans,)) as made:
                await made.go("where is add defined?")
        spans.close()
    names = [span.name for span in spans_of(bodies)]
    assert "chat scripted" in names
    assert "node reporter" in names


@pytest.mark.parametrize("endpoint", ["localhost:4318", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_refused_with_an_example(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="otlp_endpoint") as refused:
        check_endpoint(endpoint)
    assert "4318" in (refused.value.hint or "")
