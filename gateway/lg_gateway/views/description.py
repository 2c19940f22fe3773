"""Says all that records hold, for a person: one fact a line, what does not apply left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lg_gateway.store.interface import Tx
from lg_gateway.views.calls import decision_of, outcome_of
from lg_gateway.views.records import CALL
from lg_policy.printing import hanging, visible, wrap_foreign
from lg_policy.terminal_rows import WIDTH

_LABELS = {
    "time": "time", "phase": "phase", "identity": "caller", "client": "client", "server": "server", "tool": "tool",
    "effect": "policy says", "rule": "by rule", "approval_id": "question", "outcome": "outcome",
    "error_code": "error code", "detail": "detail", "count": "refusals", "duration_ms": "duration",
    "bytes_in": "bytes in", "bytes_out": "bytes out", "run_id": "run", "trace_id": "trace",
    "idempotency_key": "retry key", "tool_pin": "definition", "arguments_digest": "digest of arguments",
    "result_digest": "digest of result", "prev_hash": "hash before",
}  # fmt: skip
"""The fields of a record in the order of their interest, and what they are called; `arguments` come last."""
_COLUMN = max(map(len, _LABELS.values())) + 2


def described(tx: Tx, records: list[dict[str, Any]], width: int | None = None) -> Iterator[str]:
    """Return the lines about the records of a call, or about a question.

    For so many columns; with `None` for no terminal, where a fact stays on one line.
    """
    call = str(records[0].get("request_id") or "")
    if CALL.fullmatch(call):
        yield f"call {call}"
        yield from _fact("decision", decision_of(tx, records), width)
        yield from _fact("outcome", outcome_of(records[-1]), width)
        yield ""
    before: dict[str, Any] = {}
    for record in records:
        yield from _record(record, before, width)
        before = record if record.get("request_id") == call else {}


def _record(record: dict[str, Any], before: dict[str, Any], width: int | None) -> Iterator[str]:
    yield f"record {record['seq']}"
    for name, label in _LABELS.items():
        value = record.get(name)
        if value not in (None, "", 0) and value != before.get(name):
            yield from _fact(label, f"{value:.0f} ms" if name == "duration_ms" else str(value), width)
    arguments = str(record.get("arguments") or "")
    if arguments:
        yield "  arguments"
        yield from (f"  {row}" for row in wrap_foreign(arguments, width=(width or WIDTH) - 2))


def _fact(label: str, value: str, width: int | None) -> list[str]:
    """Return the rows of a fact. What others wrote begins none of them."""
    line = f"  {label:<{_COLUMN}}{visible(value)}"
    return hanging(line, width) if width is not None else [line]
