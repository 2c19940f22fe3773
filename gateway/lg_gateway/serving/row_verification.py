"""Compares rows of the store with what the ledger says of them, and finds rows that somebody removed or put back.

`audit verify` and `doctor` report them. Edited rows need no check here: their keyed code is wrong, so reading them
fails. Not covered: the part of a budget that a run has used, and its epoch. They only limit a run, and its caller could
just as well begin a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.calls.caller_metadata import scope_of
from lg_gateway.catalog.pin_table import PinTable
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.chain import ChainProblem
from lg_gateway.ledger.ledger import stamp
from lg_gateway.store.interface import StoreError, Tx

PAGE = 500
KEYS_DAYS = 1
"""Days for which each idempotency key must be there, whatever `ledger.outcome_days` is or was."""
RELEASED = "upstream_unavailable"
"""The error code of a call that did not reach its server: its key is free again."""


def row_problems(
    tx: Tx, approvals: ApprovalTable, pins: PinTable, tokens: TokenTable, *, now: float
) -> list[ChainProblem]:
    """Return every row that does not match the ledger."""
    found: list[ChainProblem] = []
    for check in (_pins(tx, pins), _approvals(tx, approvals, now), _grants(tx, approvals), _tokens(tx, tokens)):
        try:
            found += [ChainProblem(seq=None, what=what) for what in check]
        except StoreError as error:
            found.append(ChainProblem(seq=None, what=str(error)))
    found += [ChainProblem(seq=None, what=what) for what in _keys(tx, _days_ago(now, KEYS_DAYS))]
    return found


def _days_ago(now: float, days: float) -> str:
    return stamp(datetime.fromtimestamp(now - days * 86_400.0, UTC))


def _pins(tx: Tx, pins: PinTable) -> Iterator[str]:
    for server in pins.anchored_servers(tx):
        if pins.changed_outside(tx, server):
            yield f"pins of server {server} were removed or put back outside the gateway"
    pins.all(tx)


def _approvals(tx: Tx, approvals: ApprovalTable, now: float) -> Iterator[str]:
    approvals.recent(tx, 2**31, now)  # also those that no list shows
    for approval in approvals.open(tx, now):
        if approvals.put_back(tx, approval):
            yield f"question {approval.id} was put back as it was before it was answered or used"


def _grants(tx: Tx, approvals: ApprovalTable) -> Iterator[str]:
    for grant in approvals.grants.all(tx):
        if approvals.grants.put_back(tx, grant):
            yield f"grant {grant.id} was put back as it was before it was revoked"


def _tokens(tx: Tx, tokens: TokenTable) -> Iterator[str]:
    for token in tokens.all(tx):
        if tokens.put_back(tx, token):
            yield f"token {token.id} was put back as it was before it was revoked"


def _keys(tx: Tx, since: str) -> Iterator[str]:
    """Find calls that were begun under an idempotency key whose row is gone: a repeat would run a second time."""
    released = {record["request_id"] for record in _records(tx, since, "ended") if record["error_code"] == RELEASED}
    for record in _records(tx, since, "begun"):
        key = record["idempotency_key"]
        if key is None or record["request_id"] in released:
            continue
        sql = "SELECT 1 FROM effects WHERE scope = ? AND key = ?"
        if not tx.execute(sql, (scope_of(record["identity"], record["run_id"]), key)):
            yield f"the row of the idempotency key of call {record['request_id']} was removed (record {record['seq']})"


def _records(tx: Tx, since: str, phase: str) -> Iterator[Mapping[str, Any]]:
    before = 2**62
    sql = "SELECT seq, record FROM ledger WHERE seq < ? AND record LIKE ? ORDER BY seq DESC LIMIT ?"
    while rows := tx.execute(sql, (before, f'%"phase":"{phase}"%', PAGE)):
        for seq, text in rows:
            before, record = seq, json.loads(text)
            if str(record["time"]) < since:
                return
            yield record
