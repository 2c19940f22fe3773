"""Decides what kind of request this is, and whether the backend can handle it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.services import problem_of, think
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.errors import ThinkingFailed

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import RunState, Update


async def router(state: RunState, services: Services) -> Update:
    """Route the request; one that needs a language model which is not configured is refused."""
    try:
        route = await think(services.backend.route, services.request(state))
    except ThinkingFailed as error:
        return {"guards": state.guards.model_copy(update={"refused": problem_of(error)})}
    if services.plan_only:
        route = route.model_copy(update={"lane": "deep"})
    services.bus.emit("thought", "router", "note", {"text": route.rationale, "route": route.model_dump(mode="json")})
    if not route.needs_model:
        return {"intent": route}
    problem = Problem(
        code="needs_model",
        message=f"this request needs a language model. {route.rationale}",
        hint=services.model_hint,
    )
    return {"intent": route, "guards": state.guards.model_copy(update={"refused": problem})}
