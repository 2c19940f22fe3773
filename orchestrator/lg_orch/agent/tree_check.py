"""Asks the file server for the digest of the current tree."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import GatewayGone
from lg_orch.contracts.plans import PlannedCall

if TYPE_CHECKING:
    from lg_orch.agent.services import Services


STEP = "tree"


CHANGED = "files were changed outside this run since it stopped; what it read may be out of date"


async def tree_now(services: Services, why: str) -> str | None:
    """Return the digest of the tree; `None` if there is none, or if no server can be asked for it."""
    # Commands that only read journals need no node.
    from lg_orch.agent.finished_calls import finish

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
