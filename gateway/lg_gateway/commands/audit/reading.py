"""`lg-gateway audit`: read, check and keep the ledger. Works without the MCP SDK and without starting any server."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from lg_gateway.approvals.records import SHOWN, ApprovalTable
from lg_gateway.commands.audit import integrity as audit_integrity
from lg_gateway.commands.terminal.output import complain, fail, print_json, say, word
from lg_gateway.ledger.outcomes import OutcomeTable
from lg_gateway.serving.setup import GatewayLocation, locate
from lg_gateway.store.factory import read_store
from lg_gateway.store.interface import StoreError, Tx
from lg_gateway.views.calls import newest_calls, table
from lg_gateway.views.description import described
from lg_gateway.views.found import QUESTION, found_records, rows_of_call
from lg_gateway.views.records import Filter, backwards, filter_of, line, onwards
from lg_policy.config.flags import common_flags
from lg_policy.errors import UnknownName, UsageError
from lg_policy.terminal_rows import WIDTH, columns_of, relaid

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
        fail(error)
        return 1


def _nothing_yet(located: GatewayLocation) -> int:
    """Say that there is no store; that is in order only as long as none was ever signed."""
    head = located.ledger().head.read()
    if head is None:
        complain(f"no ledger yet: {word(located.store_place.shown)}")
        return 0
    fail(
        f"the store {word(located.store_place.shown)} is gone, and {head.seq} records of it were signed. Put it back,"
        " or begin a new one with `lg-gateway audit restart --reason TEXT`"
    )
    return 1


def _list(tx: Tx, args: argparse.Namespace, _located: GatewayLocation) -> int:
    wanted = filter_of(args, datetime.now(UTC))
    if args.json or args.records:
        return _list_records(tx, args, wanted)
    rows = newest_calls(tx, wanted, args.limit)
    width = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else None
    for row in table(rows, width):
        say(row)
    _tell_sealed(tx, missing=len(rows) < args.limit)
    return 0


def _list_records(tx: Tx, args: argparse.Namespace, wanted: Filter) -> int:
    newest = list(islice(backwards(tx, wanted), args.limit))
    for record in reversed(newest):
        _print(record, as_json=args.json)
    _tell_sealed(tx, missing=len(newest) < args.limit)
    return 0


def _tell_sealed(tx: Tx, *, missing: bool) -> None:
    sealed = tx.execute("SELECT coalesce(max(last_seq), 0) FROM segments")[0][0]
    if sealed and missing:
        complain(f"records 1 to {sealed} are in sealed segments: `lg-gateway audit export` prints them too")


def _show(tx: Tx, args: argparse.Namespace, located: GatewayLocation) -> int:
    if not args.id:
        raise UsageError("audit show needs the number of a record, the id of a call or the id of a question")
    records = found_records(tx, str(args.id))
    if not records:
        fail(UnknownName(f"the store has no record {word(args.id)}", hint="`lg-gateway audit list` shows the newest"))
        return 1
    if args.result:
        return _show_result(tx, records, OutcomeTable(located.key("outcomes")))
    if args.json:
        for record in records:
            print_json(record, indent=2, sort_keys=True)
    else:
        say("\n".join(described(tx, records, columns_of(sys.stdout))))
    if QUESTION.fullmatch(str(args.id)):
        return _show_question(tx, records, ApprovalTable(located.key("approvals"), located.ledger()))
    for approval_id in sorted({str(record.get("approval_id")) for record in records}):
        if QUESTION.fullmatch(approval_id):
            complain(f"`lg-gateway audit show {approval_id}` shows what was approved")
    return 0


def _show_question(tx: Tx, records: list[dict[str, Any]], approvals: ApprovalTable) -> int:
    """Print the text that a human was shown, if it is still kept and is the one in the chain."""
    approval_id = str(records[-1].get("approval_id"))
    decided = [str(record.get("detail")) for record in records if SHOWN in str(record.get("detail"))]
    approval = approvals.get(tx, approval_id, time.time())
    if approval is None:
        fail(f"the text of question {approval_id} is no longer kept; the records have its length and digest")
        return 1
    if not any(detail.endswith(approvals.text_digest(approval)) for detail in decided):
        fail(f"the records do not name the text of question {approval_id} that is kept")
        return 1
    say(f"\nThis text was shown. Its digest is the one in the ledger.\n{_relaid(approval.whole())}")
    return 0


def _relaid(text: str) -> str:
    return relaid(text, shutil.get_terminal_size((WIDTH, 0)).columns)


def _show_result(tx: Tx, records: list[dict[str, Any]], outcomes: OutcomeTable) -> int:
    """Print what a call came to, if that is still kept and is what the chain says."""
    from lg_gateway.ledger.outcomes import Outcome

    request_id = str(records[-1].get("request_id"))
    text = outcomes.read(tx, request_id)
    if text is None:
        fail(f"no result of call {word(request_id)} is kept")
        return 1
    digests = [json.loads(row[0]).get("result_digest") for row in rows_of_call(tx, request_id)]
    if Outcome(text=text, size=0).digest() not in digests:
        fail(f"the kept result of call {word(request_id)} is not the one in the ledger")
        return 1
    print_json(json.loads(text), indent=2)
    return 0


def _tail(tx: Tx, args: argparse.Namespace, _located: GatewayLocation) -> int:
    wanted = filter_of(args, datetime.now(UTC))
    (last,) = tx.execute("SELECT coalesce(max(seq), 0) FROM ledger")[0]
    _list_records(tx, args, wanted)
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
    if as_json:
        print_json(record, sort_keys=True)
    else:
        say(line(record))


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
