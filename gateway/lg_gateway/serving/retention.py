"""Removes old rows from the store. Times are seconds since the epoch, given by the caller.

Only rows that can no longer matter are removed. The age of an approval, a server's question, a grant or a token counts
from its end, so nothing that is still open is old. A row that a kept idempotency key refers to stays as long as the
key: a repeat needs the hashes of its approval, and a run's epoch keeps an older writer out.

Not covered: a clock that is wrong (see `housekeeping`). If a run continues after its rows were removed, it starts over:
any epoch is accepted, and its whole budget is available again.
"""

from __future__ import annotations

from lg_gateway.calls.kept_results import KEPT_S
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.store.interface import Tx
from lg_policy.config.settings import Settings

DAY_S = 86_400.0
BATCH = 500
"""Rows of one table that one transaction removes: calls wait for it."""
TEXTS = 20
"""The same for kept results, which have up to several megabytes each."""


def forget(tx: Tx, tokens: TokenTable, settings: Settings, now: float) -> bool:
    """Remove some of what is older than its setting allows; return whether there may be more."""
    ended = now - settings.store.ended_days * DAY_S
    kept, active = now - settings.ledger.outcome_days * DAY_S, now - settings.store.run_days * DAY_S
    # Rows of a version that did not note the time: their age begins now.
    tx.execute("UPDATE budgets SET seen = ? WHERE seen = 0", (now,))
    tokens.forget(tx, ended)
    more = [
        _remove(tx, "outcomes", "request_id", "created < ?", kept),
        _remove(tx, "effects", "scope, key", "created < ?", kept),
        _remove(tx, "results", "id", "created < ?", now - KEPT_S, most=TEXTS),
        # Ended questions to humans, grants and questions of servers. Each row carries the time of its end.
        _remove(
            tx,
            "approvals",
            "id",
            "expires < ? AND NOT EXISTS (SELECT 1 FROM effects WHERE effects.approval_id = approvals.id)",
            ended,
        ),
        _remove(tx, "grants", "id", "expires < ?", ended),
        _remove(tx, "dialogues", "id", "expires < ?", ended),
        _remove(tx, "tasks", "id", "waiting = 0 AND expires < ?", now),
        _remove(tx, "console_rows", "id", "expires < ?", now),
        _remove(tx, "runs", "scope", "seen < ? AND scope NOT IN (SELECT scope FROM effects)", active),
        _remove(tx, "budgets", "scope", "seen < ? AND scope NOT IN (SELECT scope FROM effects)", active),
    ]
    return any(more)


def _remove(tx: Tx, table: str, key: str, condition: str, before: float, *, most: int = BATCH) -> bool:
    """Remove at most so many rows; return whether it was so many."""
    chosen = f"SELECT {key} FROM {table} WHERE {condition} LIMIT {most}"  # noqa: S608  constants
    rows = tx.execute(f"DELETE FROM {table} WHERE ({key}) IN ({chosen}) RETURNING 1", (before,))  # noqa: S608  as above
    return len(rows) == most
