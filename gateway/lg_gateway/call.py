"""One call on its way through the gateway: what came in, and what has been established about it so far."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lg_gateway.catalog import CatalogEntry
from lg_gateway.marks import Marks
from lg_gateway.upstream import Progress
from lg_policy.rules import Decision


@dataclass(frozen=True, kw_only=True)
class Call:
    """A `tools/call` as it arrived. `identity` comes from the transport, never from an argument."""

    identity: str
    client: str
    name: str
    arguments: dict[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    input_responses: dict[str, Any] | None = None
    request_state: str | None = None


def new_request_id() -> str:
    """Return an id for a call: unique, without meaning."""
    return secrets.token_hex(12)


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A call that has found its tool. Each step returns a copy with what it established."""

    call: Call
    entry: CatalogEntry
    request_id: str = field(default_factory=new_request_id)
    began: float = field(default_factory=time.monotonic)
    marks: Marks = field(default_factory=Marks)
    arguments_digest: str = ""
    arguments_masked: str = ""
    bytes_in: int = 0
    decision: Decision | None = None
    approval_id: str | None = None

    def elapsed_ms(self) -> float:
        """Milliseconds since the call arrived."""
        return round((time.monotonic() - self.began) * 1000, 3)
