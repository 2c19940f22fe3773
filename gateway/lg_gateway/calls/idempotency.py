"""Runs a call with an idempotency key at most once: it is noted when it begins and when it ends.

A key belongs to one caller and one run. Only calls that reached a server count. A newer epoch of a run shuts out older
writers. All this restrains a run: the caller chooses the key and can always choose another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from lg_gateway.calls.call import CallContext
from lg_gateway.calls.caller_metadata import scope_of
from lg_gateway.store.interface import Tx
from lg_policy.errors import Conflict

NOTED_S = 3_600.0
"""How old the time of a run's last call may get before a call writes it again."""


@dataclass(frozen=True, kw_only=True)
class IdempotencyRecord:
    """What is known about a key: its call, the gateway that began the call, and whether the call ended."""

    request_id: str
    tool: str
    arguments_digest: str
    approval_id: str | None
    holder: str
    ended: bool
    created: float


def idempotency_step(tx: Tx, context: CallContext) -> IdempotencyRecord | None:
    """Return what is known of the call's key. Raises `Conflict` when the key was used for another call."""
    if context.metadata.key is None:
        return None
    rows = tx.execute(
        "SELECT request_id, tool, arguments_digest, approval_id, holder, ended, created FROM effects"
        " WHERE scope = ? AND key = ?",
        (scope(context), context.metadata.key),
    )
    if not rows:
        return None
    request_id, tool, arguments_digest, approval_id, holder, ended, created = rows[0]
    if (tool, arguments_digest) != (context.entry.name, context.arguments_digest):
        raise Conflict("this idempotency key was used for another call", hint="use a new key for a new effect")
    return IdempotencyRecord(
        request_id=request_id,
        tool=tool,
        arguments_digest=arguments_digest,
        approval_id=approval_id,
        holder=holder,
        ended=bool(ended),
        created=created,
    )


def claim(tx: Tx, context: CallContext, holder: str, now: float) -> None:
    """Note that the gateway `holder` began the call. Raises `Conflict` if another process did so meanwhile."""
    if context.metadata.key is None:
        return
    known = idempotency_step(tx, context)
    if known is not None and (known.ended or known.request_id not in (context.recalled_from, context.request_id)):
        raise Conflict("this idempotency key is already in use", hint="repeat the call to get its outcome")
    values = (context.entry.name, context.arguments_digest, context.request_id, context.approval_id, holder)
    tx.execute(
        "INSERT INTO effects (scope, key, tool, arguments_digest, request_id, approval_id, holder, ended, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (scope, key) DO UPDATE SET request_id = excluded.request_id,"
        " approval_id = excluded.approval_id, holder = excluded.holder, ended = 0, created = excluded.created",
        (scope(context), context.metadata.key, *values, now),
    )


def settle(tx: Tx, context: CallContext) -> None:
    """Note that the call has ended. Its outcome is kept under the call's id."""
    if context.metadata.key is not None:
        sql = "UPDATE effects SET ended = 1 WHERE scope = ? AND key = ? AND request_id = ?"
        tx.execute(sql, (scope(context), context.metadata.key, context.request_id))


def release(tx: Tx, context: CallContext) -> None:
    """Forget the key: the call did not reach its server."""
    if context.metadata.key is not None:
        sql = "DELETE FROM effects WHERE scope = ? AND key = ? AND request_id = ?"
        tx.execute(sql, (scope(context), context.metadata.key, context.request_id))


def check_epoch(tx: Tx, context: CallContext, now: float) -> None:
    """Note the run's epoch. Raises `Conflict` if it is older than another writer's, or skips a number."""
    if context.metadata.run_id is None or context.metadata.epoch is None:
        return
    rows = tx.execute("SELECT epoch, seen FROM runs WHERE scope = ?", (scope(context),))
    known, seen = (int(rows[0][0]), float(rows[0][1])) if rows else (None, 0.0)
    epoch = context.metadata.epoch
    if known is not None and epoch < known:
        raise Conflict(f"another process has taken over this run (epoch {known})", hint="stop writing for it")
    if known is not None and epoch > known + 1:
        raise Conflict(f"the run is at epoch {known}; it can be taken over with {known + 1}, not {epoch}")
    if known != epoch or now - seen > NOTED_S:
        sql = (
            "INSERT INTO runs (scope, epoch, seen) VALUES (?, ?, ?)"
            " ON CONFLICT (scope) DO UPDATE SET epoch = excluded.epoch, seen = excluded.seen"
        )
        tx.execute(sql, (scope(context), epoch, now))


def outward_key(context: CallContext) -> str | None:
    """Return the key as a trusted server gets it.

    Such a server knows no callers, and the key of another caller or run must not stand for this call.
    """
    if context.metadata.key is None:
        return None
    return sha256(json.dumps([scope(context), context.metadata.key]).encode("ascii")).hexdigest()


def scope(context: CallContext) -> str:
    """Return whose keys these are: the caller's, in one run."""
    return scope_of(context.call.identity, context.metadata.run_id)
