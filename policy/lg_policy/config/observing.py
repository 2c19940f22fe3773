"""Settings of logs and traces."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from lg_policy.config.section import Section


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address, such as http://127.0.0.1:4318/v1/traces")
    return url


class LogSettings(Section):
    """The log of the gateway and of the run service, on standard error. Known secrets are masked in it, whatever its
    format."""

    format: Literal["text", "json"] = "text"
    """`json`: one JSON object a line, with the request, run and trace that a line belongs to."""
    access: bool = False
    """Whether each call gets a line: caller, tool, outcome, decision, time and sizes, without arguments and results."""


class TracingSettings(Section):
    """Spans of the gateway's work, for OpenTelemetry. They hold neither arguments nor results."""

    otlp_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """Address to send spans to (OTLP over HTTP), such as `http://127.0.0.1:4318/v1/traces`. Needs the extra `otel`."""
