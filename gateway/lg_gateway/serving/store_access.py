"""Opens the stored questions, pins and tokens for commands. Starts no server and needs no MCP SDK.

A gateway may be running at the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from lg_gateway.approvals.grants import Grant
from lg_gateway.approvals.records import Approval, ApprovalTable
from lg_gateway.catalog.pin_table import PinTable
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.halt import Halt, HaltSwitch
from lg_gateway.serving.setup import GatewayLocation
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import Tx

T = TypeVar("T")


class StoreAccess:
    """One gateway's store and its tables. Close it after use. Raises `StoreError` when it cannot be opened."""

    def __init__(self, located: GatewayLocation) -> None:
        ledger = self.ledger = located.ledger()
        self._store = open_store(located.store_place, guard=ledger)
        self.approvals = ApprovalTable(located.key("approvals"), ledger)
        self.pins = PinTable(located.key("pins"), ledger)
        self.tokens = TokenTable(located.key("tokens"), ledger)

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
        """Return every grant "for this run" in the store."""
        return self.read(self.approvals.grants.all)

    def halt(self) -> Halt | None:
        """Return the halt that is in force."""
        return self.read(HaltSwitch(self.ledger).read)

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
