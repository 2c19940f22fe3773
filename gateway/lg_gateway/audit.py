"""`lg-gateway audit`: read and check the ledger. Works without the MCP SDK and without starting any server."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lg_gateway.canonical import canonical
from lg_gateway.head import HeadFile, signature_is_good
from lg_gateway.ledger import Ledger, Problem, verify_export
from lg_gateway.setup import Located, locate
from lg_gateway.store import StoreError, Tx
from lg_gateway.stores import read_store
from lg_policy.errors import ConfigError
from lg_policy.flags import common_flags

PAGE = 500
TAIL_POLL_S = 0.3
_UNSAFE = re.compile(r"[^\x20-\x7e\u00a1-\u200a\u2010-\u2027\u2030-\u205f\u2070-\ufefe\uff00-\uffef]")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which records to show; `None` is any."""

    identity: str | None
    tool: re.Pattern[str] | None
    outcome: str | None
    run: str | None
    since: str | None

    def wants(self, record: dict[str, Any]) -> bool:
        """Whether a record is to be shown."""
        return (
            (self.identity is None or record.get("identity") == self.identity)
            and (self.tool is None or self.tool.fullmatch(str(record.get("tool"))) is not None)
            and (self.outcome is None or record.get("outcome") == self.outcome)
            and (self.run is None or record.get("run_id") == self.run)
            and (self.since is None or str(record.get("time")) >= self.since)
        )


def run_audit(args: argparse.Namespace) -> int:
    """`lg-gateway audit ACTION`."""
    if args.action == "verify" and args.export is not None:
        return verify_file(args.export, args.head)
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    if not located.store_place.exists():
        print(f"no ledger yet: {located.store_place.shown}", file=sys.stderr)
        return 0
    try:
        with read_store(located.store_place) as tx:
            return _ACTIONS[args.action](tx, args, located)
    except StoreError as error:
        print(f"lg-gateway: {error}", file=sys.stderr)
        return 1


def _list(tx: Tx, args: argparse.Namespace, _located: Located) -> int:
    wanted = _filter(args)
    newest: list[dict[str, Any]] = []
    for record in _backwards(tx):
        if wanted.wants(record):
            newest.append(record)
            if len(newest) >= args.limit:
                break
    for record in reversed(newest):
        _print(record, as_json=args.json)
    return 0


def _show(tx: Tx, args: argparse.Namespace, _located: Located) -> int:
    if not args.id:
        raise ConfigError("audit show needs the number of a record or the id of a call")
    by_number = str(args.id).isdecimal()
    rows = tx.execute(
        f"SELECT record FROM ledger WHERE {'seq' if by_number else 'request_id'} = ? ORDER BY seq",  # noqa: S608  a constant
        (int(args.id) if by_number else args.id,),
    )
    for (text,) in rows:
        print(json.dumps(json.loads(text), indent=2, sort_keys=True))
    if not rows:
        print(f"lg-gateway: the ledger has no record {args.id}", file=sys.stderr)
    return 0 if rows else 1


def _tail(tx: Tx, args: argparse.Namespace, located: Located) -> int:
    _list(tx, args, located)
    wanted = _filter(args)
    (last,) = tx.execute("SELECT coalesce(max(seq), 0) FROM ledger")[0]
    while True:
        for seq, text in tx.execute("SELECT seq, record FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (last, PAGE)):
            last = seq
            record = json.loads(text)
            if wanted.wants(record):
                _print(record, as_json=args.json)
        sys.stdout.flush()
        time.sleep(TAIL_POLL_S)


def _verify(tx: Tx, _args: argparse.Namespace, located: Located) -> int:
    ledger = Ledger(HeadFile(located.head_path, located.key("head")), located.key("ledger"))
    count, problems = ledger.verify(tx)
    for problem in problems:
        print(f"record {problem.seq} {problem.what}" if problem.seq is not None else problem.what)
    if problems:
        print(f"NOT intact: {located.store_place.shown}")
        return 1
    print(f"intact: {count} records, signed up to the last commit ({located.store_place.shown})")
    return 0


def _export(tx: Tx, _args: argparse.Namespace, _located: Located) -> int:
    """Every record as it is chained, one JSON object a line; `verify --export` checks it anywhere."""
    after = 0
    while rows := tx.execute("SELECT seq, hash, record FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?", (after, PAGE)):
        for seq, digest, record in rows:
            after = seq
            print(json.dumps({"hash": digest, "record": record}))
    return 0


def _head(_tx: Tx, _args: argparse.Namespace, located: Located) -> int:
    """One line to be kept where this machine cannot change it."""
    file = HeadFile(located.head_path, located.key("head"))
    head = file.read()
    if head is None:
        print("lg-gateway: nothing is signed yet", file=sys.stderr)
        return 1
    body = asdict(head)
    print(json.dumps(body | {"signature": file.sign(canonical(body)), "public_key": file.public_key()}, sort_keys=True))
    return 0


def verify_file(path: str, anchor: str | None) -> int:
    """Check an export, and against an anchored head line if there is one. Needs neither store nor keys."""
    with open(path, encoding="utf-8") as file:
        count, head, problems = verify_export(file)
    if not problems and anchor is not None:
        problems = _against_anchor(path, anchor)
    for problem in problems:
        print(f"record {problem.seq} {problem.what}" if problem.seq is not None else problem.what)
    print(f"{'NOT intact' if problems else 'intact'}: {count} records" + (f", ends in {head.hash}" if head else ""))
    return 1 if problems else 0


def _against_anchor(path: str, anchor: str) -> list[Problem]:
    try:
        body = json.loads(anchor)
        signature, public_key = body.pop("signature"), body.pop("public_key")
        seq, digest = body["seq"], body["hash"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError("--head is not a line that `audit head` printed") from error
    if not signature_is_good(public_key, signature, canonical(body)):
        return [Problem(seq=None, what="the signature of the anchored head is wrong")]
    with open(path, encoding="utf-8") as file:
        found = next((row["hash"] for row in map(json.loads, file) if json.loads(row["record"])["seq"] == seq), None)
    if found != digest:
        return [Problem(seq=seq, what="is not the one that was anchored")]
    return []


_ACTIONS = {"list": _list, "show": _show, "tail": _tail, "verify": _verify, "export": _export, "head": _head}


def _filter(args: argparse.Namespace) -> Filter:
    tool = re.compile(".*".join(re.escape(part) for part in args.tool.split("*"))) if args.tool else None
    return Filter(identity=args.identity, tool=tool, outcome=args.outcome, run=args.run, since=args.since)


def _backwards(tx: Tx) -> Iterator[dict[str, Any]]:
    """Records from the newest to the oldest, read in pages."""
    before = 2**62
    while rows := tx.execute("SELECT seq, record FROM ledger WHERE seq < ? ORDER BY seq DESC LIMIT ?", (before, PAGE)):
        for seq, text in rows:
            before = seq
            yield json.loads(text)


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record, sort_keys=True))
        return
    state = record.get("outcome") or record.get("phase")
    code = f" {record['error_code']}" if record.get("error_code") else ""
    took = f" {record['duration_ms']:.0f} ms" if isinstance(record.get("duration_ms"), int | float) else ""
    what = record.get("tool") or record.get("detail") or ""
    line = f"{record['seq']:>6}  {record['time']}  {record.get('identity', '')}  {what}  {state}{code}{took}"
    arguments = str(record.get("arguments") or "")
    print(visible(f"{line}  {arguments[:160]}{'…' if len(arguments) > 160 else ''}"))


def visible(text: str) -> str:
    r"""Return `text` with control, bidi and invisible characters as `\u{…}`: a record must not redraw a terminal."""
    return _UNSAFE.sub(lambda match: f"\\u{{{ord(match.group()):x}}}", text)
