"""Keeps sessions and one-time links in the memory of the process: they end with it."""

from __future__ import annotations

import time

ROWS = 10_000


class MemoryRows:
    """The rows of one process."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[float, str]] = {}

    async def read(self, key: str) -> str | None:
        """Return a row that has not expired."""
        expires, body = self._rows.get(key, (0.0, ""))
        return body if time.time() < expires else None

    async def write(self, key: str, body: str, expires: float) -> None:
        """Write a row. Of too many, the oldest is forgotten."""
        self._rows.pop(key, None)
        self._rows[key] = (expires, body)
        if len(self._rows) > ROWS:
            del self._rows[next(iter(self._rows))]

    async def delete(self, key: str) -> None:
        """Remove a row."""
        self._rows.pop(key, None)

    async def take(self, key: str) -> str | None:
        """Return a row and remove it."""
        found = await self.read(key)
        self._rows.pop(key, None)
        return found
