"""Reads what a caller says about a call besides its arguments: the run it belongs to and its idempotency key.

Both come in `_meta["lg/run"]` and `_meta["lg/idempotency-key"]`, or in W3C baggage, which `langchain.mcp` can send. The
caller could lie about them. So they can limit a call and connect records, but they never identify or permit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lg_policy.errors import InvalidArguments
from lg_policy.wire.call_metadata import (
    ASKS_NOBODY,
    IDEMPOTENCY_KEY,
    ONLY_ASKS,
    RUN,
    SHOWS_WHOLE,
    idempotency_key,
    run_fields,
)

OURS_IN_BAGGAGE = ("lg-run", "lg-epoch", "lg-step", "idempotency-key")
_TRACE_ID = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# The protocol's own keys describe one connection; the progress token is the gateway's business.
_HOP = ("io.modelcontextprotocol/", "modelcontextprotocol.io/", "lg/")
_PROGRESS_TOKENS = ("progressToken", "progress_token")
_READ = frozenset({RUN, IDEMPOTENCY_KEY, "baggage", "traceparent", SHOWS_WHOLE, ASKS_NOBODY, ONLY_ASKS})
"""The members of `_meta` that say something to the gateway. Most calls have none."""


@dataclass(frozen=True, kw_only=True)
class CallMetadata:
    """The run, its epoch and step, and the idempotency key; `None` where the caller said nothing."""

    run_id: str | None = None
    epoch: int | None = None
    step: str | None = None
    key: str | None = None
    trace_id: str | None = None
    shows_whole: bool = False
    """Whether the caller shows a question of any length whole."""
    asks_nobody: bool = False
    """Whether a call that needs a human is refused without keeping a question."""
    only_asks: bool = False
    """Whether the caller wants the question about the call, and not the call."""


NOTHING_SAID = CallMetadata()


def read_metadata(meta: Mapping[str, Any]) -> CallMetadata:
    """Read both forms. Raises `InvalidArguments` for a malformed mark, or when the two forms disagree."""
    if _READ.isdisjoint(meta):
        return NOTHING_SAID
    run = run_fields(meta)
    epoch = run.get("epoch")
    if epoch is not None and not (epoch.isdecimal() and epoch.isascii() and len(epoch) <= 12):
        raise InvalidArguments("the epoch of a run must be a whole number")
    return CallMetadata(
        run_id=run.get("run_id"),
        epoch=int(epoch) if epoch is not None else None,
        step=run.get("step"),
        key=idempotency_key(meta),
        trace_id=_trace_id(meta.get("traceparent")),
        shows_whole=meta.get(SHOWS_WHOLE) is True,
        asks_nobody=meta.get(ASKS_NOBODY) is True,
        only_asks=meta.get(ONLY_ASKS) is True,
    )


def forwarded_meta(meta: Mapping[str, Any], metadata: CallMetadata, *, trusted: bool) -> dict[str, Any]:
    """Return the `_meta` to send to the server. Only a trusted server gets the run and the key."""
    kept = {
        key: value
        for key, value in meta.items()
        if not key.startswith(_HOP) and key not in _PROGRESS_TOKENS and key != "baggage"
    }
    if foreign := _foreign_baggage(meta.get("baggage")):
        kept["baggage"] = foreign
    if trusted and metadata.run_id is not None:
        fields = {"run_id": metadata.run_id, "epoch": metadata.epoch, "step": metadata.step}
        kept[RUN] = {name: value for name, value in fields.items() if value is not None}
    if trusted and metadata.key is not None:
        kept[IDEMPOTENCY_KEY] = metadata.key
    return kept


def _foreign_baggage(baggage: Any) -> str:
    """Return the members of a baggage header that are not ours, as they came."""
    if not isinstance(baggage, str):
        return ""
    members = [member.strip() for member in baggage.split(",")]
    return ",".join(member for member in members if member and member.partition("=")[0].strip() not in OURS_IN_BAGGAGE)


def _trace_id(traceparent: Any) -> str | None:
    match = _TRACE_ID.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return match.group(1) if match else None


def scope_of(identity: str, run_id: str | None) -> str:
    """Return the scope of a caller's idempotency keys in one run, as rows name it."""
    return json.dumps([identity, run_id])
