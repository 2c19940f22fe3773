"""Writes the gateway's log to stderr, because stdout belongs to the protocol, and masks known secrets in it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from lg_policy.printing import visible
from lg_policy.terminal_rows import fitting

if TYPE_CHECKING:
    from lg_gateway.observability.store_health import StoreHealth
    from lg_policy.config.observing import LogSettings
    from lg_policy.secrets.masking import Masker

FULL, BRIEF = "%(asctime)s %(levelname)s %(name)s: %(message)s", "%(levelname)s: %(message)s"
"""A line of a server's log, and of a command that a person typed."""
TALKATIVE = ("mcp", "httpx2", "httpcore2")
SERVERS = "lg_gateway.upstreams."
"""Whose warnings say how servers are."""


class MaskingFormatter(logging.Formatter):
    r"""Masks whole lines, tracebacks included, once there is a masker; writes control characters as `\u{…}`."""

    def __init__(self, line: str = FULL) -> None:
        super().__init__(line)
        self.masker: Masker | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = super().format(record)
        shown = visible(self.masker.mask(line) if self.masker is not None else line, keep="\n\t")
        return fitting(shown, sys.stderr)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        """Return the message on one line: a name in it cannot begin a line that looks like another record."""
        return visible(super().formatMessage(record))


def start_logging(level: str, *, typed: bool = False, tells_servers: bool = False) -> None:
    """Send log records of `level` and above to stderr; for a command that a person typed without time and module.

    A command that `tells_servers` says itself how each server is, so that warnings about them are left out.
    The MCP libraries log whole messages, with unmasked arguments, at `debug`. Those records are left out.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(BRIEF if typed and level in ("warning", "error") else FULL))
    if tells_servers and level == "warning":
        handler.addFilter(lambda record: record.levelno > logging.WARNING or not record.name.startswith(SERVERS))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))


def tell_start(text: str, settings: LogSettings) -> None:
    """Print a line that a server shows when it starts, whatever the level of its log; as JSON where the log is."""
    if settings.format == "json":
        from lg_gateway.observability.json_log import JsonFormatter

        fields = {"name": __name__, "levelno": logging.INFO, "levelname": "INFO", "msg": "%s", "args": (text,)}
        text = JsonFormatter().format(logging.makeLogRecord(fields))
    print(fitting(visible(text), sys.stderr), file=sys.stderr, flush=True)


def format_logs(settings: LogSettings) -> None:
    """Write what is logged from now on as the settings say."""
    if settings.access:
        logging.getLogger("lg_gateway.access").setLevel(logging.INFO)
    if settings.format == "json":
        from lg_gateway.observability.json_log import JsonFormatter

        for handler in _handlers():
            handler.setFormatter(JsonFormatter())


def _handlers() -> list[logging.Handler]:
    """Return the handlers of `start_logging`."""
    return [handler for handler in logging.getLogger().handlers if hasattr(handler.formatter, "masker")]


def one_line_per_outage(health: StoreHealth) -> None:
    """Leave out what is logged about a store that is down, except for the line of its health."""
    from lg_gateway.observability.store_health import OneLinePerOutage

    for handler in _handlers():
        handler.addFilter(OneLinePerOutage(health))


def mask_logs(masker: Masker) -> None:
    """Mask secrets in everything that the handlers of `start_logging` write from now on."""
    for handler in _handlers():
        setattr(handler.formatter, "masker", masker)  # noqa: B010  two classes of formatters have it
