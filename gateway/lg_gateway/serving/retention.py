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


def forget(tx: Tx, tokens: TokenTable, settings: Settings, now: float) -> None:
    """Remove everything that is older than its setting allows."""
    _forget_outcomes(tx, now - settings.ledger.outcome_days * DAY_S)
    tx.execute("DELETE FROM results WHERE created < ?", (now - KEPT_S,))
    ended = now - settings.store.ended_days * DAY_S
    _forget_ended(tx, ended)
    tokens.forget(tx, ended)
    _forget_runs(tx, now, now - settings.store.run_days * DAY_S)


def _forget_outcomes(tx: Tx, before: float) -> None:
    tx.execute("DELETE FROM outcomes WHERE created < ?", (before,))
    tx.execute("DELETE FROM effects WHERE created < ?", (before,))


def _forget_ended(tx: Tx, before: float) -> None:
    """Remove ended questions to humans, grants and questions of servers. Each row carries the time of its end."""
    tx.execute(
        "DELETE FROM approvals WHERE expires < ?"
        " AND NOT EXISTS (SELECT 1 FROM effects WHERE effects.approval_id = approvals.id)",
        (before,),
    )
    tx.execute("DELETE FROM grants WHERE expires < ?", (before,))
    tx.execute("DELETE FROM dialogues WHERE expires < ?", (before,))


def _forget_runs(tx: Tx, now: float, before: float) -> None:
    # Rows of a version that did not note the time: their age begins now.
    tx.execute("UPDATE budgets SET seen = ? WHERE seen = 0", (now,))
    tx.execute("DELETE FROM runs WHERE seen < ? AND scope NOT IN (SELECT scope FROM effects)", (before,))
    tx.execute("DELETE FROM budgets WHERE seen < ? AND scope NOT IN (SELECT scope FROM effects)", (before,))
