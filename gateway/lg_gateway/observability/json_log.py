"""Writes the log as JSON, one object a line, and a line for each call. Known secrets are masked in both."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from lg_gateway.calls.call import CallContext
from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.observability.observed_pipeline import current_call
from lg_policy.secrets.masking import Masker

access = logging.getLogger("lg_gateway.access")
FIELDS = "lg_fields"
"""The attribute of a record that holds more fields of its object."""


class JsonFormatter(logging.Formatter):
    """Writes a record as a JSON object in plain ASCII, so that no text in it can end its line."""

    def __init__(self) -> None:
        super().__init__()
        self.masker: Masker | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, FIELDS, None)
        line |= _of_current() if fields is None else fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: self._masked(value) for name, value in line.items() if value is not None})

    def _masked(self, value: Any) -> Any:
        return self.masker.mask(value) if isinstance(value, str) and self.masker is not None else value


def write_access(context: CallContext | None, entry: LedgerEntry) -> None:
    """Write the line of a call that has ended. It has neither arguments nor results."""
    fields = {
        "request_id": entry.request_id,
        "run_id": entry.run_id,
        "trace_id": entry.trace_id,
        "caller": entry.identity,
        "client": entry.client or None,
        "server": entry.server or None,
        "tool": entry.tool,
        "outcome": entry.outcome,
        "code": entry.error_code,
        "decision": entry.effect or None,
        "rule": entry.rule or None,
        "duration_ms": entry.duration_ms,
        "bytes_in": entry.bytes_in if context is not None else None,
        "bytes_out": entry.bytes_out,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    words = " ".join(f"{name}={json.dumps(value)}" for name, value in known.items())
    access.info("call %s", words, extra={FIELDS: known})


def _of_current() -> dict[str, Any]:
    context = current_call.get()
    if context is None:
        return {}
    metadata = context.metadata
    return {"request_id": context.request_id, "run_id": metadata.run_id, "trace_id": metadata.trace_id}
