"""Takes in the request, as clean text of limited length."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from lg_orch.contracts.envelopes import Problem

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import RunState, Update

MAX_REQUEST = 20_000
"""Characters; more is a file, and files are read through tools."""


def readable(request: str) -> str:
    """Return a request without what cannot be read."""
    return "".join(c for c in request if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cf")).strip()


async def ingest(state: RunState, services: Services) -> Update:
    """Strip the request of what cannot be read; refuse an empty or over-long one."""
    request = readable(state.request)
    problem = None
    if not request:
        problem = Problem(code="invalid_arguments", message="the request is empty", hint="say what you want to know")
    elif len(request) > MAX_REQUEST:
        problem = Problem(
            code="too_large", message=f"the request has {len(request)} characters, more than {MAX_REQUEST}"
        )
    if problem is not None:
        return {"request": request[:MAX_REQUEST], "guards": state.guards.model_copy(update={"refused": problem})}
    services.bus.emit("thought", "ingest", "note", {"text": f"request of {len(request)} characters"})
    return {"request": request}
