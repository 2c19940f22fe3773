"""The log of `serve` and `worker`: text, or one JSON object a line with the run that it belongs to."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_policy.config.observing import LogSettings
    from lg_policy.secrets.masking import Masker

current_run: ContextVar[str | None] = ContextVar("current_run", default=None)
"""The run that the code at hand works for."""


class JsonFormatter(logging.Formatter):
    """Writes a record as a JSON object in plain ASCII, so that no text in it can end its line."""

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._masker.mask(record.getMessage()),
            "run_id": current_run.get(),
        }
        if record.exc_info:
            line["exception"] = self._masker.mask(self.formatException(record.exc_info))
        return json.dumps({name: value for name, value in line.items() if value is not None})


def start_logging(level: str, settings: LogSettings, masker: Masker) -> None:
    """Log to standard error, in the format that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        handler.setFormatter(JsonFormatter(masker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
