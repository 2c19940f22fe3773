"""Further tables of the index that other packages keep: they change in the same transaction as the file's own rows."""

from __future__ import annotations

import sqlite3
from typing import Any, Protocol


class IndexPart(Protocol):
    """Tables that belong to each file of the index."""

    @property
    def name(self) -> str:
        """Return the part's name, a key in `meta`."""
        ...

    @property
    def version(self) -> int:
        """Return its version. An index with another one is made anew."""
        ...

    @property
    def prepare(self) -> str:
        """Return `module:function`, called in the parser process with path, text and facts; its answer is JSON."""
        ...

    def create(self, db: sqlite3.Connection) -> None:
        """Make the tables, where they are missing."""
        ...

    def store(self, db: sqlite3.Connection, file_id: int, path: str, prepared: Any) -> None:
        """Store what was prepared for a file, instead of what was there. It comes from hostile text."""
        ...

    def waste(self, db: sqlite3.Connection) -> float:
        """Return which share of its rows belongs to no file any more."""
        ...

    def remove(self, db: sqlite3.Connection, file_id: int) -> None:
        """Remove the rows of a file."""
        ...
