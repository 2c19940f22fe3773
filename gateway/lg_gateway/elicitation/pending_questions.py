"""Stores calls that wait because their server asked a question, for callers who answer with another request.

The questions of a call are found by the call's binding, as an approval is, because clients repeat first rounds. Each
round is answered once, in the transaction that lets the call go on. A replayed answer changes nothing. Rows carry a
keyed code, and a row that is put back as it once was is refused: the ledger says that the call went on from it.

A call of a 2026 server can go on from any gateway process, also after a restart. A call of a 2025 server waits
in the process that holds its connection (`owner`) and ends with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import StoreEdited, Tx
from lg_gateway.store.keyed_rows import RowMac
from lg_policy.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class PendingQuestions:
    """One call that waits. `questions` maps the key that the client knows to `{theirs, text, schema}`.

    `given` has the answers of this round that no human is asked for. `owner` is the process that holds the call; "" if
    any process can go on with `state`, the server's own.
    """

    id: str
    binding: str
    request_id: str
    approval_id: str | None
    round: int
    questions: dict[str, dict[str, Any]]
    given: dict[str, Any] = field(default_factory=dict)
    state: str | None = None
    owner: str = ""
    expires: float = 0.0
    open: bool = True
    noted: int = 0
    """Number of the ledger's newest record when the question was asked."""

    def round_mark(self) -> str:
        """Return what the client carries from the question to the answer."""
        return json.dumps({"dialogue": self.id, "round": self.round})


class PendingQuestionsTable:
    """Reads and writes open questions inside transactions. `now` is seconds since the epoch."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._code = RowMac(key, "a question of a server")
        self._ledger = ledger

    def find(self, tx: Tx, binding: str, now: float) -> PendingQuestions | None:
        """Return the open questions of a call. Raises `StoreError` for another call's that was put in its place."""
        sql = "SELECT body, mac FROM dialogues WHERE binding = ? AND waiting = 1 AND expires > ? ORDER BY expires DESC"
        rows = tx.execute(sql, (binding, now))
        found = self._read(rows[0]) if rows else None
        if found is not None and (found.binding != binding or not found.open or found.expires <= now):
            raise StoreEdited("a question of a server in the store was not written by this gateway")
        return found

    def any(self, tx: Tx, now: float) -> bool:
        """Whether any call waits."""
        return bool(tx.execute("SELECT 1 FROM dialogues WHERE waiting = 1 AND expires > ? LIMIT 1", (now,)))

    def open(self, tx: Tx, pending: PendingQuestions) -> None:
        """Write a question, the first or the next of its call."""
        self._write(tx, replace(pending, noted=self._ledger.end(tx)))

    def close(self, tx: Tx, pending: PendingQuestions) -> None:
        """End a round, in the transaction that lets the call go on. Raises `Conflict` when that was done before."""
        rows = tx.execute("SELECT body, mac FROM dialogues WHERE id = ?", (pending.id,))
        current = self._read(rows[0]) if rows else None
        if current is None or not current.open or current.round != pending.round:
            raise Conflict("that question of the server was already answered", hint="nothing was done again")
        self._write(tx, replace(current, open=False))

    def _write(self, tx: Tx, pending: PendingQuestions) -> None:
        tx.execute("DELETE FROM dialogues WHERE id = ?", (pending.id,))
        tx.execute(
            "INSERT INTO dialogues (id, binding, waiting, expires, body, mac) VALUES (?, ?, ?, ?, ?, ?)",
            (pending.id, pending.binding, int(pending.open), pending.expires, *self._code.sealed(asdict(pending))),
        )

    def _read(self, row: tuple[Any, ...]) -> PendingQuestions:
        return PendingQuestions(**self._code.opened(row[0], row[1]))


def new_id() -> str:
    """Return an id for a set of pending questions."""
    return f"di-{secrets.token_hex(8)}"


def round_of(request_state: str | None) -> tuple[str, int] | None:
    """Return the id and the round that a client's state names, `None` when it names none."""
    try:
        state = json.loads(request_state) if request_state else None
    except ValueError:
        return None
    if not isinstance(state, Mapping) or "dialogue" not in state:
        return None
    return str(state["dialogue"]), int(state.get("round", 0))
