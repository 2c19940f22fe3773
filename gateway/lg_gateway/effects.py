"""At most once: a call with an idempotency key leaves a mark in the transaction that begins it, its outcome after.

Scope is the caller and the run. Only calls that reached a server count. A run's newer epoch shuts out older writers.
These are a run's self-restraint: keys come from the caller, who can always choose another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lg_gateway.call import Passage
from lg_gateway.store import Tx
from lg_policy.errors import Conflict

OUTCOME_BYTES = 1_000_000
KEPT_S = 7 * 86400.0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What is known of a key. `result` is the recorded outcome as JSON, `None` while it is begun."""

    request_id: str
    tool: str
    arguments_digest: str
    approval_id: str | None
    result: str | None


def recall(tx: Tx, passage: Passage) -> Effect | None:
    """Return what is known of the call's key. Raises `Conflict` when the key was used for another call."""
    if passage.marks.key is None:
        return None
    sql = "SELECT request_id, tool, arguments_digest, approval_id, result FROM effects WHERE scope = ? AND key = ?"
    rows = tx.execute(sql, (scope(passage), passage.marks.key))
    if not rows:
        return None
    request_id, tool, arguments_digest, approval_id, result = rows[0]
    effect = Effect(
        request_id=request_id, tool=tool, arguments_digest=arguments_digest, approval_id=approval_id, result=result
    )
    if (effect.tool, effect.arguments_digest) != (passage.entry.name, passage.arguments_digest):
        raise Conflict("this idempotency key was used for another call", hint="mint a new key for a new effect")
    return effect


def claim(tx: Tx, passage: Passage, now: float) -> None:
    """Mark the key as begun. Raises `Conflict` when another process began it in between."""
    if passage.marks.key is None:
        return
    known = recall(tx, passage)
    if known is not None and not passage.recalled:
        raise Conflict("this idempotency key is already in use", hint="repeat the call to get its outcome")
    tx.execute("DELETE FROM effects WHERE created < ?", (now - KEPT_S,))
    tx.execute(
        "INSERT INTO effects (scope, key, tool, arguments_digest, request_id, approval_id, result, created)"
        " VALUES (?, ?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (scope, key) DO UPDATE SET request_id = excluded.request_id,"
        " approval_id = excluded.approval_id, result = NULL, created = excluded.created",
        (
            scope(passage),
            passage.marks.key,
            passage.entry.name,
            passage.arguments_digest,
            passage.request_id,
            passage.approval_id,
            now,
        ),
    )


def settle(tx: Tx, passage: Passage, result: str) -> None:
    """Record the outcome under the key."""
    if passage.marks.key is not None:
        sql = "UPDATE effects SET result = ? WHERE scope = ? AND key = ?"
        tx.execute(sql, (result, scope(passage), passage.marks.key))


def release(tx: Tx, passage: Passage) -> None:
    """Forget the key: the call did not reach its server."""
    if passage.marks.key is not None:
        tx.execute("DELETE FROM effects WHERE scope = ? AND key = ?", (scope(passage), passage.marks.key))


def check_epoch(tx: Tx, passage: Passage, now: float) -> None:
    """Take note of the run's epoch. Raises `Conflict` for one that is older than another writer's, or skips ahead."""
    if passage.marks.run_id is None or passage.marks.epoch is None:
        return
    rows = tx.execute("SELECT epoch FROM runs WHERE scope = ?", (scope(passage),))
    known = int(rows[0][0]) if rows else None
    epoch = passage.marks.epoch
    if known is not None and epoch < known:
        raise Conflict(f"another process has taken over this run (epoch {known})", hint="stop writing for it")
    if known is not None and epoch > known + 1:
        raise Conflict(f"the run is at epoch {known}; it can be taken over with {known + 1}, not {epoch}")
    if known != epoch:
        sql = (
            "INSERT INTO runs (scope, epoch, seen) VALUES (?, ?, ?)"
            " ON CONFLICT (scope) DO UPDATE SET epoch = excluded.epoch, seen = excluded.seen"
        )
        tx.execute(sql, (scope(passage), epoch, now))


def scope(passage: Passage) -> str:
    """Return whose keys these are: the caller's, in one run."""
    values: list[Any] = [passage.call.identity, passage.marks.run_id]
    return json.dumps(values)
