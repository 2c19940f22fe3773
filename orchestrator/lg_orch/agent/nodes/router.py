"""Decides what kind of request this is, and whether the backend can handle it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.nodes.ingest import MAX_REQUEST, readable
from lg_orch.agent.services import problem_of, think
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.errors import ThinkingFailed

if TYPE_CHECKING:
    from lg_orch.agent.calls_beside import CallsBeside
    from lg_orch.agent.interfaces import ActingBackend
    from lg_orch.agent.services import Services
    from lg_orch.contracts.plans import Route
    from lg_orch.contracts.state import RunState, Update


def begin_routing(text: str, backend: ActingBackend, early: CallsBeside) -> None:
    """Ask what kind of request a text is before the graph begins: the gateway still starts meanwhile."""
    request = readable(text)
    if request and len(request) <= MAX_REQUEST:
        early.begin(_key(request), lambda: think(backend.route, request))


def _key(request: str) -> str:
    return f"route {request}"


async def _route(request: str, services: Services) -> Route:
    early, key = services.asked_early, _key(request)
    if early is None or not early.begun(key):
        return await think(services.backend.route, request)
    found: Route = await early.result(key)
    return found


async def router(state: RunState, services: Services) -> Update:
    """Route the request; one that needs a language model which is not configured is refused."""
    try:
        route = await _route(services.request(state), services)
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
