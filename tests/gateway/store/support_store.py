"""What store tests read and how they open a store."""

from __future__ import annotations

from collections.abc import Callable

from lg_gateway.store.interface import Store, Tx

Open = Callable[..., Store]


def pins(tx: Tx) -> list[str]:
    return [str(tool) for (tool,) in tx.execute("SELECT tool FROM pins ORDER BY tool")]
