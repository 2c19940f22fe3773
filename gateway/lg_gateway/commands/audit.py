"""`lg-gateway audit`: read, check and keep the ledger. Works without the MCP SDK and without starting any server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from lg_gateway.commands import audit_integrity
from lg_gateway.commands.audit_records import backwards, filter_of, line, onwards
from lg_gateway.ledger.outcomes import OutcomeTable
from lg_gateway.serving.setup import GatewayLocation, locate
from lg_gateway.store.factory import read_store
from lg_gateway.store.interface import StoreError, Tx
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError

TAIL_POLL_S = 0.3


def run(args: argparse.Namespace) -> int:
    """`lg-gateway audit ACTION`."""
    if args.action == "verify" and args.export is not None:
        return audit_integrity.verify_file(args)
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    try:
        if args.action in _WRITING:
            return _WRITING[args.action](args, located)
        if not located.store_place.exists():
            return _nothing_yet(located)
        with read_store(located.store_place, follow=args.action == "tail") as tx:
            return _READING[args.action](tx, args, located)
    except StoreError as error:
        print(f"lg-gateway: {error}", file=sys.stderr)
        return 1


def _nothing_yet(located: GatewayLocation) -> int:
    """Say that there is no store; that is in order only as long as none was ever signed."""
    head = located.ledger().head.read()
    if head is None:
        print(f"no ledger yet: {located.store_place.shown}", file=sys.stderr)
        return 0
    print(
        f"lg-gateway: the store {located.store_place.shown} is gone; {head.seq} records of it were signed. Put it back,"
        " or begin anew with `lg-gateway audit restart --reason TEXT`",
        file=sys.stderr,
    )
    return 1


def _list(tx: Tx, args: argparse.Namespace, _located: GatewayLocation) -> int:
    newest = list(islice(backwards(tx, filter_of(args, datetime.now(UTC))), args.limit))
    for record in reversed(newest):
        _print(record, as_json=args.json)
    sealed = tx.execute("SELECT coalesce(max(last_seq), 0) FROM segments")[0][0]
    if sealed and len(newest) < args.limit:
        print(f"records up to {sealed} are in sealed segments: see `lg-gateway audit export`", file=sys.stderr)
    return 0


def _show(tx: Tx, args: argparse.Namespace, located: GatewayLocation) -> int:
    if not args.id:
        raise ConfigError("audit show needs the number of a record or the id of a call")
    by_number = str(args.id).isdecimal()
    rows = tx.execute(
        f"SELECT record FROM ledger WHERE {'seq' if by_number else 'request_id'} = ? ORDER BY seq",  # noqa: S608  a constant
        (int(args.id) if by_number else args.id,),
    )
    records = [json.loads(text) for (text,) in rows]
    if not records:
        print(f"lg-gateway: the store has no record {args.id}", file=sys.stderr)
        return 1
    if args.result:
        return _show_result(tx, records, OutcomeTable(located.key("outcomes")))
    for record in records:
        print(json.dumps(record, indent=2, sort_keys=True))
    return 0


def _show_result(tx: Tx, records: list[dict[str, Any]], outcomes: OutcomeTable) -> int:
    """Print what a call came to, if that is still kept and is what the chain says."""
    from lg_gateway.ledger.outcomes import Outcome

    request_id = str(records[-1].get("request_id"))
    text = outcomes.read(tx, request_id)
    if text is None:
        print(f"lg-gateway: no result of call {request_id} is kept", file=sys.stderr)
        return 1
    digests = [json.loads(row[0]).get("result_digest") for row in _of_call(tx, request_id)]
    if Outcome(text=text, size=0).digest() not in digests:
        print(f"lg-gateway: the kept result of call {request_id} is not the one in the chain", file=sys.stderr)
        return 1
    print(json.dumps(json.loads(text), indent=2))
    return 0


def _of_call(tx: Tx, request_id: str) -> list[tuple[Any, ...]]:
    return tx.execute("SELECT record FROM ledger WHERE request_id = ? ORDER BY seq", (request_id,))


def _tail(tx: Tx, args: argparse.Namespace, located: GatewayLocation) -> int:
    wanted = filter_of(args, datetime.now(UTC))
    (last,) = tx.execute("SELECT coalesce(max(seq), 0) FROM ledger")[0]
    _list(tx, args, located)
    while True:
        sys.stdout.flush()
        for seq, _, text in onwards(tx, wanted, last):
            last = seq
            record = json.loads(text)
            if wanted.wants(record):
                _print(record, as_json=args.json)
        sys.stdout.flush()
        time.sleep(TAIL_POLL_S)


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    print(json.dumps(record, sort_keys=True) if as_json else line(record))


_READING: dict[str, Callable[[Tx, argparse.Namespace, GatewayLocation], int]] = {
    "list": _list,
    "show": _show,
    "tail": _tail,
    "verify": audit_integrity.verify,
    "export": audit_integrity.export,
    "head": audit_integrity.head,
}
_WRITING: dict[str, Callable[[argparse.Namespace, GatewayLocation], int]] = {
    "seal": audit_integrity.seal,
    "prune": audit_integrity.prune,
    "restart": audit_integrity.restart,
}
ACTIONS = (*_READING, *_WRITING)
