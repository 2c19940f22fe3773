"""Whether the files are still as a run left them, by the digest of the tree: taken where a process stops, and where the
next one goes on.

It covers what the tools see (`lg_fs.tree.tree_digest`). Where there is none, after a process that was killed or for a
tree that is too large, nothing is said.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lg_orch.errors import GatewayGone
from lg_orch.models_io import PlannedCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.models_trace import Event
    from lg_orch.services import Services

STEP = "tree"
CHANGED = "files were changed since this run stopped, and not by it: what was read before may not be what is there now"


async def tree_now(services: Services, why: str) -> str | None:
    """The digest of the tree; `None` where there is none, or nobody to ask for it."""
    # Commands that only read journals need no node.
    from lg_orch.nodes.context_builder import finish

    lister = services.tools.find("list_files")
    if lister is None:
        return None
    call = PlannedCall(
        id=f"{STEP}.{secrets.token_hex(4)}", tool=lister.name, input={"totals": True, "recursive": True}, why=why
    )
    limit = services.budgets.call_timeout(services.wall_s())
    try:
        envelope = await services.tools.call(services.mint(call), step=STEP, timeout_s=limit, may_ask=False)
    except GatewayGone:
        # How the run stops does not depend on it, and whatever needs the gateway next says that it is gone.
        return None
    finish(services, envelope)
    totals = (envelope.artifacts.structured or {}).get("totals")
    digest = totals.get("digest") if isinstance(totals, dict) else None
    return str(digest) if digest is not None else None


def is_look(event: Event) -> bool:
    """Whether an event of a call is about such a look, which belongs to no step of the run."""
    return event.data.get("step") == STEP or str(event.data.get("call_id", "")).startswith(f"{STEP}.")


def left_at(events: Sequence[Event]) -> str | None:
    """The digest of the tree as the last process of a run left it, if it came to take it."""
    for event in reversed(events):
        if event.name == "run" and event.phase in ("begin", "resume"):
            return None
        if event.name == "run" and event.phase == "end":
            left = event.data.get("left")
            return str(left) if left is not None else None
    return None
