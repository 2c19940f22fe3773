"""Chooses what of logs and traces a gateway has, by its settings. What is off is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.pipeline import Pipeline
from lg_gateway.calls.recorder import Observe
from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.observability.call_counts import CallCounts
from lg_gateway.store.interface import Store
from lg_policy.config.settings import Settings

if TYPE_CHECKING:
    from lg_gateway.observability.tracing import Tracing


def tracing_of(settings: Settings, store: Store) -> tuple[Tracing | None, Store]:
    """Return what makes spans, if any, and the store, which then makes some too. Raises `ConfigError`."""
    endpoint = settings.gateway.tracing.otlp_endpoint
    if endpoint is None:
        return None, store
    from lg_gateway.observability.tracing import TracedStore, Tracing

    tracing = Tracing(endpoint)
    return tracing, TracedStore(store, tracing)


def pipeline_class(settings: Settings) -> type[Pipeline]:
    """Return the pipeline that is needed: the plain one, or one that knows which call is handled."""
    if settings.gateway.tracing.otlp_endpoint is None and settings.log.format == "text":
        return Pipeline
    from lg_gateway.observability.observed_pipeline import ObservedPipeline

    return ObservedPipeline


def trace_calls(pipeline: Pipeline, tracing: Tracing | None) -> None:
    """Have a pipeline make spans."""
    if tracing is not None:
        from lg_gateway.observability.observed_pipeline import ObservedPipeline

        if isinstance(pipeline, ObservedPipeline):
            pipeline.tracing = tracing


def observer(settings: Settings, counts: CallCounts) -> Observe:
    """Return what hears of each call that has ended."""
    if not settings.log.access:
        return counts.ended
    from lg_gateway.observability.json_log import write_access

    def both(context: CallContext | None, entry: LedgerEntry) -> None:
        counts.ended(context, entry)
        write_access(context, entry)

    return both
