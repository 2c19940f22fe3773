"""Selects, orders and formats the ledger records that a command shows."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lg_gateway.approvals.records import SHOWN
from lg_gateway.ledger.ledger import stamp
from lg_gateway.store.interface import Tx
from lg_policy.config.durations import seconds
from lg_policy.errors import UsageError
from lg_policy.printing import visible

PAGE = 500
SHOWN_ARGUMENTS = 160
CALL_DIGITS = 8
"""Digits of a call's id in a line; `audit show` takes them for the whole id."""
GATEWAY = "gateway"
"""Who made a record that no caller caused."""
CALL = re.compile("[0-9a-f]{24}")
"""The id of a call; notes have others, or none."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which records to show; `None` is any. Times are as records write them; `until` is not included."""

    identity: re.Pattern[str] | None = None
    tool: re.Pattern[str] | None = None
    outcome: str | None = None
    run: str | None = None
    since: str | None = None
    until: str | None = None

    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Filter()

    def wants(self, record: dict[str, Any]) -> bool:
        """Whether a record is to be shown."""
        time = str(record.get("time"))
        return (
            (self.identity is None or self.identity.fullmatch(str(record.get("identity"))) is not None)
            and (self.tool is None or self.tool.fullmatch(str(record.get("tool"))) is not None)
            and (self.outcome is None or record.get("outcome") == self.outcome)
            and (self.run is None or record.get("run_id") == self.run)
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


def filter_of(args: argparse.Namespace, now: datetime) -> Filter:
    """Read the filter flags. Raises `ConfigError` for a time that is none."""
    return Filter(
        identity=glob(args.identity),
        tool=glob(args.tool),
        outcome=args.outcome,
        run=args.run,
        since=moment(args.since, "--since", now) if args.since else None,
        until=moment(args.until, "--until", now) if args.until else None,
    )


def moment(text: str, flag: str, now: datetime) -> str:
    """Return a time as records write it: a date, a date and time (UTC unless it says otherwise), or how long ago."""
    if re.fullmatch(r"\d+\s*[smhd]", text):
        return stamp(now - timedelta(seconds=seconds(text, flag)))
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{flag}: {text!r} is not a time",
            hint="write 2026-11-01, or 2026-11-01T09:30 (UTC), or 24h for a day ago",
        ) from error
    return stamp(given if given.tzinfo is not None else given.replace(tzinfo=UTC))


def backwards(tx: Tx, wanted: Filter, before: int = 2**62) -> Iterator[dict[str, Any]]:
    """Records of the store from the newest to the oldest, read in pages; a run's are found by their index.

    Only those with a smaller number than `before`.
    """
    where, params = _where(wanted)
    while rows := tx.execute(
        f"SELECT seq, record FROM ledger WHERE seq < ?{where} ORDER BY seq DESC LIMIT ?",  # noqa: S608  constants
        (before, *params, PAGE),
    ):
        for seq, text in rows:
            before = seq
            record = json.loads(text)
            if wanted.wants(record):
                yield record


def onwards(tx: Tx, wanted: Filter, after: int) -> Iterator[tuple[int, str, str]]:
    """Number, hash and text of records of the store after one, oldest first, unfiltered but for a run."""
    where, params = _where(wanted)
    while rows := tx.execute(
        f"SELECT seq, hash, record FROM ledger WHERE seq > ?{where} ORDER BY seq LIMIT ?",  # noqa: S608  constants
        (after, *params, PAGE),
    ):
        for seq, digest, record in rows:
            after = seq
            yield seq, digest, record


def line(record: dict[str, Any]) -> str:
    """Return a record as one line to read."""
    state = record.get("outcome") or record.get("phase")
    code = f" {record['error_code']}" if record.get("error_code") else ""
    times = f" x{record['count']}" if record.get("count") else ""
    took = f" {record['duration_ms']:.0f} ms" if isinstance(record.get("duration_ms"), int | float) else ""
    columns = [f"{record['seq']:>6}", record["time"], record.get("identity") or GATEWAY, record.get("tool") or "-"]
    about = _cut(str(record.get("arguments") or "")) if record.get("phase") != "note" else noted(record)
    rest = [f"{state}{code}{times}{took}", _call(record), about]
    return visible("  ".join([*map(str, columns), *(part for part in rest if part)]))


def short_id(call: str) -> str:
    """Return the beginning of a call's id, which `audit show` takes for the whole."""
    return call[:CALL_DIGITS]


def _call(record: dict[str, Any]) -> str:
    """Return what the records of one call have in common, short enough to compare by eye."""
    call = str(record.get("request_id") or "")
    return f"call {short_id(call)}" if CALL.fullmatch(call) else ""


def noted(record: dict[str, Any]) -> str:
    """Return what a note says: of a decision which question it answers and who gave it, the digest left out."""
    detail = str(record.get("detail") or "")
    question = str(record.get("approval_id") or "")
    return f"{question} {detail.partition(f'; {SHOWN}')[0]}" if question else detail


def _cut(text: str) -> str:
    return text[:SHOWN_ARGUMENTS] + ("…" if len(text) > SHOWN_ARGUMENTS else "")


def _where(wanted: Filter) -> tuple[str, tuple[str, ...]]:
    return (" AND run_id = ?", (wanted.run,)) if wanted.run is not None else ("", ())


def glob(text: str | None) -> re.Pattern[str] | None:
    """Return what a text with `*` for anything matches; `None` for no text."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*"))) if text else None
