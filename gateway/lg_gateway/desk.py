"""The stored questions and pins, for commands beside a running gateway. Starts no server, needs no MCP SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from lg_gateway.approvals import Approval, ApprovalBook
from lg_gateway.grants import Grant
from lg_gateway.pins import PinBook
from lg_gateway.setup import Located
from lg_gateway.store import Tx
from lg_gateway.stores import open_store
from lg_gateway.tokens import TokenBook

T = TypeVar("T")


class Desk:
    """One gateway's store with its books. Close it. Raises `StoreError` when it cannot be opened."""

    def __init__(self, located: Located) -> None:
        ledger = located.ledger()
        self._store = open_store(located.store_place, guard=ledger)
        self.approvals = ApprovalBook(located.key("approvals"), ledger)
        self.pins = PinBook(located.key("pins"), ledger)
        self.tokens = TokenBook(located.key("tokens"), ledger)

    def pending(self) -> list[Approval]:
        """Return every question that waits for an answer, oldest first."""
        return self.read(lambda tx: self.approvals.pending(tx, time.time()))

    def recent(self, limit: int) -> list[Approval]:
        """Return the newest questions of any state, newest first."""
        return self.read(lambda tx: self.approvals.recent(tx, limit, time.time()))

    def question(self, approval_id: str) -> Approval | None:
        """Return a question as it stands now."""
        return self.read(lambda tx: self.approvals.get(tx, approval_id, time.time()))

    def grants(self) -> list[Grant]:
        """Return every "for this run" that is kept."""
        return self.read(self.approvals.grants.all)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a consistent view."""
        return self._store.read_now(work)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction and return once it is durable."""

        async def write() -> T:
            return await self._store.write(work)

        return asyncio.run(write())

    def close(self) -> None:
        """Close the store."""
        self._store.close()
