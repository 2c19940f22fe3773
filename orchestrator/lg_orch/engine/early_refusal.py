"""Refuses a request that needs a language model before anything is started, where the request alone tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.state import EXIT_STATUS, Final
from lg_orch.contracts.text import sentence, stopped_text

if TYPE_CHECKING:
    from lg_orch.engine.job import RunJob


def refused_at_once(job: RunJob) -> Final | None:
    """Return the report of a new run whose request no rule of the built-in analyst covers, `None` for any other."""
    from lg_orch.analyst.analyst import LocalAnalyst
    from lg_orch.llm.providers import model_hint

    if not isinstance(job.chosen.backend, LocalAnalyst) or "forked_from" in job.record or not job.request.strip():
        return None
    route = job.chosen.backend.route(job.request)
    if not route.needs_model:
        return None
    job.bus.emit("thought", "router", "note", {"text": route.rationale, "route": route.model_dump(mode="json")})
    said = stopped_text(f"this request needs a language model. {route.rationale}")
    return Final(
        status="refused",
        exit_status=EXIT_STATUS["refused"],
        text=f"Nothing was done: {said}\n\n{sentence(model_hint())}",
    )
