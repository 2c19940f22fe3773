"""Decides what kind of request this is, and whether the backend at hand can do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.services import problem_of, think
from lg_orch.contracts.envelopes import Problem
from lg_orch.contracts.errors import ThinkingFailed

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import RunState, Update

PROVIDERS = ("openai", "anthropic", "google_genai", "ollama")
MODEL_HINT = (
    "choose a language model with --model PROVIDER:NAME, LG_MODEL=PROVIDER:NAME, or a [models.default] table with "
    f"provider and model in the settings; providers: {', '.join(PROVIDERS)} and every other that LangChain's "
    "init_chat_model knows; an OpenAI-compatible server by [models.default] base_url"
)


async def router(state: RunState, services: Services) -> Update:
    """Route the request; one that needs a language model which is not configured is refused."""
    try:
        route = await think(services.backend.route, services.request(state))
    except ThinkingFailed as error:
        return {"guards": state.guards.model_copy(update={"refused": problem_of(error)})}
    services.bus.emit("thought", "router", "note", {"text": route.rationale, "route": route.model_dump(mode="json")})
    if not route.needs_model:
        return {"intent": route}
    problem = Problem(
        code="needs_model",
        message=f"this request ({route.intent.replace('_', ' ')}) needs a language model: {route.rationale}",
        hint=MODEL_HINT,
    )
    return {"intent": route, "guards": state.guards.model_copy(update={"refused": problem})}
