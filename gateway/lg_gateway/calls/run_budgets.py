"""Limits what one run of one caller may use. The counts are in the store, so they hold across restarts and gateways.

A call is counted in the transaction that begins it, so that two gateways never both allow the last call. This restrains
a run that goes wrong. A caller can name another run; `rate_limits` limits callers.
"""

from __future__ import annotations

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.idempotency import scope
from lg_gateway.store.interface import Tx
from lg_policy.config.usage_limits import RunBudgetSettings
from lg_policy.errors import LimitExceeded


def charge(tx: Tx, context: CallContext, budget: RunBudgetSettings, now: float) -> None:
    """Count a call that is about to be sent. Raises `LimitExceeded` when its run has used up its budget.

    `now` is in seconds since the epoch.
    """
    if context.metadata.run_id is None or context.recalled:
        return
    key = scope(context)
    rows = tx.execute("SELECT calls, bytes_in, bytes_out, seconds FROM budgets WHERE scope = ?", (key,))
    calls, bytes_in, bytes_out, seconds = rows[0] if rows else (0, 0, 0, 0.0)
    for name, most, used in (
        ("calls", budget.calls, calls + 1),
        ("bytes_in", budget.bytes_in, bytes_in + context.bytes_in),
        ("bytes_out", budget.bytes_out, bytes_out + 1),
        ("seconds", budget.seconds, seconds),
    ):
        if used > most:
            raise LimitExceeded(
                f"this run has used up its {name.replace('_', ' ')}: {most:g} (gateway.run_budget.{name})",
                hint="finish with what the run has; a human can raise the setting",
            )
    sql = (
        "INSERT INTO budgets (scope, calls, bytes_in, bytes_out, seconds, seen) VALUES (?, 1, ?, 0, 0, ?)"
        " ON CONFLICT (scope) DO UPDATE SET calls = budgets.calls + 1, bytes_in = budgets.bytes_in + excluded.bytes_in,"
        " seen = excluded.seen"
    )
    tx.execute(sql, (key, context.bytes_in, now))


def settle(tx: Tx, context: CallContext, *, bytes_out: int, seconds: float) -> None:
    """Count what came back."""
    if context.metadata.run_id is not None:
        sql = "UPDATE budgets SET bytes_out = bytes_out + ?, seconds = seconds + ? WHERE scope = ?"
        tx.execute(sql, (bytes_out, seconds, scope(context)))
