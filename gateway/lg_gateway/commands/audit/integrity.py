"""Runs the audit commands for the chain as a whole: verify, export, head, seal, prune, restart."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.catalog.pin_table import PinTable
from lg_gateway.commands.terminal.output import complain, fail, say, say_whole, word
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.chain import ChainProblem
from lg_gateway.ledger.head import Head
from lg_gateway.ledger.ledger import Ledger, stamp
from lg_gateway.ledger.seals import Seal
from lg_gateway.ledger.segments import Archive, SealingError
from lg_gateway.ledger.verification import VerificationResult, head_line, read_head_line, verify_export
from lg_gateway.serving.setup import GatewayLocation, user_name
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import StoreEdited, StoreError, Tx
from lg_gateway.views.export import export_lines
from lg_gateway.views.records import filter_of, moment
from lg_policy.errors import ConfigError, UsageError
from lg_policy.printing import visible


def verify(tx: Tx, args: argparse.Namespace, located: GatewayLocation) -> int:
    """Check the store, its segments and the signed head; with `--since HEAD` only what came after that head."""
    if args.head is not None:
        raise UsageError("--head is for an export", hint="for the store, give the line as --since")
    ledger = located.ledger()
    since = read_head_line(args.since, ledger.head.public_key()) if args.since is not None else None
    if args.since is not None and since is None:
        raise UsageError(
            "--since is not a line that `audit head` printed here, or its signature is wrong",
            hint="`verify` takes a head, not a time",
        )
    verdict = ledger.examine(tx, since)
    if not verdict.problems:
        verdict.problems += _rows_beside(tx, ledger, located)
    signed = ledger.head.read()
    after = f" after record {since.seq}" if since is not None else ""
    upto = f", signed up to record {signed.seq}" if signed is not None else ""
    return _report(verdict, f"{verdict.records} records{after}{upto} ({word(located.store_place.shown)})")


def _rows_beside(tx: Tx, ledger: Ledger, located: GatewayLocation) -> list[ChainProblem]:
    from lg_gateway.serving.row_verification import row_problems

    return row_problems(
        tx,
        ApprovalTable(located.key("approvals"), ledger),
        PinTable(located.key("pins"), ledger),
        TokenTable(located.key("tokens"), ledger),
        now=time.time(),
    )


def verify_file(args: argparse.Namespace) -> int:
    """Check an export. Needs neither store nor keys."""
    anchor: Head | None = None
    if args.head is not None:
        anchor = read_head_line(args.head, args.public_key)
        if anchor is None:
            fail("--head is not a line that `audit head` printed, or its signature is wrong")
            return 1
    try:
        with open(args.export, encoding="utf-8", errors="surrogateescape") as file:
            verdict = verify_export(file, args.public_key, anchor)
    except OSError as error:
        raise ConfigError(f"cannot read {word(args.export)}: {error.strerror or error}") from error
    end = f", ends in {verdict.head.hash}" if verdict.head else ""
    return _report(verdict, f"{verdict.records} records{end}")


def export(tx: Tx, args: argparse.Namespace, located: GatewayLocation) -> int:
    """Print the whole chain, sealed segments included, with its signed head: one JSON object a line.

    With a filter only the chosen records are printed, as they are: no chain, so nothing that `verify` could check.
    """
    for text in export_lines(tx, located.ledger(), filter_of(args, datetime.now(UTC)), fail):
        say_whole(text)  # a record as it was written is plain ASCII
    return 0


def head(_tx: Tx, _args: argparse.Namespace, located: GatewayLocation) -> int:
    """Print one line to be kept where this machine cannot change it."""
    file = located.ledger().head
    found = file.read()
    if found is None:
        fail("nothing is signed yet: the first record makes the head")
        return 1
    say_whole(head_line(found, file))
    return 0


def seal(args: argparse.Namespace, located: GatewayLocation) -> int:
    """Move records that are older than `--before` into sealed segment files."""
    before = _before(args)
    seals = _with_archive(located, lambda archive: archive.seal(before, by=_by()))
    for moved in seals:
        path = word(located.segments_path / moved.file)
        say(f"segment {moved.number}: records {moved.first} to {moved.last} are in {path}")
    if not seals:
        complain(f"no record is older than {before}")
    return 0


def prune(args: argparse.Namespace, located: GatewayLocation) -> int:
    """Remove segment files whose records are all older than `--before`; their seals stay in the chain."""
    before = _before(args)
    removed = _with_archive(located, lambda archive: archive.prune(before, by=_by(), now=stamp(datetime.now(UTC))))
    for gone in removed:
        say(f"segment {gone.number}: the file with records {gone.first} to {gone.last} is removed")
    if not removed:
        complain(f"no segment ended before {before}")
    return 0


def restart(args: argparse.Namespace, located: GatewayLocation) -> int:
    """Let a ledger go on whose signed records are gone from the store: removed, lost, or put back from a backup."""
    if not args.reason:
        raise ConfigError(
            "audit restart needs --reason TEXT", hint="it gives up records that were signed; the ledger records why"
        )
    ledger = located.ledger()
    guard = _Restart(ledger)
    store = open_store(located.store_place, guard=guard)
    try:
        seq = asyncio.run(store.write(lambda tx: guard.begin(tx, args.reason)))
    except SealingError as error:
        fail(error)
        return 1
    finally:
        store.close()
    aside = word(guard.aside)
    say(f"the ledger continues with record {seq}, which says what was abandoned; the old head is kept as {aside}")
    return 0


class _Restart:
    """Guards the one commit that may ignore the signed head: it puts that aside and signs the new one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._confirmed = False
        self.aside: Path | None = None

    def begin(self, tx: Tx, reason: str) -> int:
        """Append the record of the restart. Raises `SealingError` where nothing is lost."""
        try:
            lost = self._ledger.head.read()
        except ValueError as error:
            what = str(error)
        else:
            what = self._notes_lost(tx)
            if not what:
                if lost is None or self._ledger.holds(tx, lost):
                    raise SealingError("nothing is lost: the store has what was signed last; `audit verify` says more")
                what = f"record {lost.seq} with hash {lost.hash} of ledger {lost.ledger}"
        detail = f"given up by {_by()}: {what}; why: {reason}"
        seq = self._ledger.append_anew(tx, "ledger restarted", detail[:1000])
        self._confirmed = True
        return seq

    def _notes_lost(self, tx: Tx) -> str:
        """Return what is wrong with the records that decisions rest on, "" where nothing is."""
        try:
            self._ledger.notes.all(tx)
        except StoreEdited as error:
            return str(error).partition(",")[0]
        return ""

    def before(self, tx: Tx) -> None:
        """Look at nothing: that the head is not there is the reason for this commit."""

    def committing(self, tx: Tx) -> None:
        """Take note of the new end."""
        self._ledger.committing(tx)

    def flushing(self, tx: Tx) -> None:
        """See nothing: this commit waits for the disk itself."""

    def flushed(self, seen: None) -> None:
        """Sign nothing."""

    def after(self) -> None:
        """Put the old head aside, then sign the new one."""
        if self._confirmed:
            self.aside = self._ledger.head.give_up(datetime.now(UTC).strftime("%Y%m%dT%H%M%S"))
            self._ledger.after()


def _report(verdict: VerificationResult, summary: str) -> int:
    for remark in verdict.remarks:
        say(f"note: {visible(remark)}")
    for problem in verdict.problems:
        say(visible(problem.text()))
    say(f"{'NOT intact' if verdict.problems else 'intact'}: {summary}")
    return 1 if verdict.problems else 0


def _with_archive(located: GatewayLocation, work: Callable[[Archive], Coroutine[Any, Any, list[Seal]]]) -> list[Seal]:
    ledger = located.ledger()
    store = open_store(located.store_place, guard=ledger)
    archive = Archive(store, ledger, located.segments_path, records=located.segment_records)
    try:
        return asyncio.run(work(archive))
    except SealingError as error:
        raise StoreError(str(error)) from error
    finally:
        store.close()


def _before(args: argparse.Namespace) -> str:
    if not args.before:
        raise UsageError(f"audit {args.action} needs --before TIME", hint="for instance 90d, or 2026-01-01")
    return moment(args.before, "--before", datetime.now(UTC))


def _by() -> str:
    return f"{user_name()} at a command line"
