"""Stores as killed gateways leave them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lg_gateway.serving.retention import forget

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway


async def lose_outcomes(gateway: Gateway) -> None:
    """Leave the store as a gateway does that was killed an hour ago, after its calls had begun.

    Not much longer ago: the gateway forgets old calls, and nobody can say when it does.
    """
    begun = time.time() - 3_600
    lost = "UPDATE effects SET ended = 0, holder = 'x@nowhere', created = ?"
    await gateway.store.write(lambda tx: tx.execute(lost, (begun,)))
    await gateway.store.write(lambda tx: tx.execute("DELETE FROM outcomes"))
    await gateway.store.write(lambda tx: forget(tx, gateway.tokens, gateway.policy.settings, time.time()))
