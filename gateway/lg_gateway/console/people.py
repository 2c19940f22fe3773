"""Who may log in to the console of a gateway: by an operator's token of its store. A client's token is nobody's."""

from __future__ import annotations

import time

from lg_console.sources.people import Person, Role
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.interface import Store, Tx
from lg_policy.limits import cut_text

DETAIL_BYTES = 500


class GatewayPeople:
    """The operators of one store, and the notes of their logins in its ledger."""

    def __init__(self, store: Store, tokens: TokenTable, ledger: Ledger) -> None:
        self._store = store
        self._tokens = tokens
        self._ledger = ledger

    async def operator(self, token: str) -> Person | None:
        """Return whom an operator's token names."""
        found = await self._store.read(lambda tx: self._tokens.check(tx, token, time.time()))
        if found is None or found.role != "operator":
            return None
        return Person(name=found.identity, role=Role.OPERATOR)

    async def stands(self, person: Person) -> bool:
        """Whether an operator of that name has a token that counts."""
        now = time.time()

        def look(tx: Tx) -> bool:
            own = (token for token in self._tokens.all(tx) if token.identity == person.name)
            return any(token.state(now) == "active" and not self._tokens.put_back(tx, token) for token in own)

        return await self._store.read(look)

    async def note(self, what: str, person: str, detail: str = "") -> None:
        """Record a login."""
        entry = LedgerEntry(
            phase="note", identity=person, outcome=what, detail=cut_text(f"by {person}: {detail}", DETAIL_BYTES)[0]
        )
        await self._store.write(lambda tx: self._ledger.append(tx, entry))
