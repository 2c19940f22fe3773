"""Stores a finished call's whole result and journals it in brief."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.tools.effects import effects_of

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope


def finish(services: Services, envelope: ToolEnvelope) -> ToolEnvelope:
    """Keep a whole result, journal the brief, return the brief."""
    brief = services.results.brief(envelope)
    info = services.tools.named(envelope.tool)
    services.bus.emit("tool", brief.tool, "end", {
        "call_id": brief.artifacts.call_id, "result": brief.model_dump(mode="json"), **effects_of(envelope, info),
    })  # fmt: skip
    return brief
