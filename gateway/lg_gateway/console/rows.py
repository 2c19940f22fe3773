"""Keeps sessions and one-time links of the console in the store. Rows carry a keyed code.

Not covered: that somebody who can write the store removes a row, or puts one back. Without the secret of its browser a
row is of no use.
"""

from __future__ import annotations

import time

from lg_gateway.store.interface import Store, Tx
from lg_gateway.store.keyed_rows import RowMac


class ConsoleRows:
    """The rows of one store."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        self._code = RowMac(key, "a session of the console")

    async def read(self, key: str) -> str | None:
        """Return a row that has not expired."""
        return await self._store.read(lambda tx: self._found(tx, key))

    async def write(self, key: str, body: str, expires: float) -> None:
        """Write a row."""
        await self._store.write(lambda tx: self.put(tx, key, body, expires))

    async def delete(self, key: str) -> None:
        """Remove a row."""
        await self._store.write(lambda tx: _remove(tx, key))

    async def take(self, key: str) -> str | None:
        """Return a row and remove it."""

        def taken(tx: Tx) -> str | None:
            found = self._found(tx, key)
            _remove(tx, key)
            return found

        return await self._store.write(taken)

    def put(self, tx: Tx, key: str, body: str, expires: float) -> None:
        """Write a row in a transaction."""
        text, mac = self._code.sealed({"key": key, "body": body, "expires": expires})
        tx.execute(
            "INSERT INTO console_rows (id, expires, body, mac) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " expires = excluded.expires, body = excluded.body, mac = excluded.mac",
            (key, expires, text, mac),
        )

    def _found(self, tx: Tx, key: str) -> str | None:
        rows = tx.execute("SELECT body, mac FROM console_rows WHERE id = ?", (key,))
        row = self._code.opened(*rows[0]) if rows else None
        if row is None or row.get("key") != key or time.time() >= row["expires"]:
            return None
        return str(row["body"])


def _remove(tx: Tx, key: str) -> None:
    tx.execute("DELETE FROM console_rows WHERE id = ?", (key,))
