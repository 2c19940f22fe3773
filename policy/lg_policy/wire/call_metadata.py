"""Call metadata: the keys in `_meta`, and the same carried as W3C baggage (what LangChain's client can send)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from lg_policy.errors import InvalidArguments

RUN = "lg/run"
"""`{run_id, epoch, step}` of the orchestrator's run."""
IDEMPOTENCY_KEY = "lg/idempotency-key"
"""Names one effect. A repeat with the same key returns the first outcome and does nothing."""
SHOWS_WHOLE = "lg/shows-whole"
RULES = "lg/rules"
"""In a round of questions to a caller that shows them whole: the text of each rule that it may be answered with."""
"""`true`: the caller shows its user the whole question, however long it is."""
ASKS_NOBODY = "lg/asks-nobody"
"""`true`: the caller has no user to ask now. A call that needs a human is refused, and no question is kept."""
ONLY_ASKS = "lg/only-asks"
"""`true`: return the question about this call, and do not make the call. One that needs no answer is refused."""
ROOT = "lg/root"
"""On tools: `{id, name}` of the root that they work on."""
POLICY = "lg/policy"
"""On tools: the digest of the settings that their server enforces."""
SANDBOX = "lg/sandbox"
"""On `exec`: `{active, backend}`."""
PREVIEW = "lg/preview"
"""On tools: arguments that make a call show what it would do."""
SERVER = "lg/server"
"""On tools listed by the gateway: the server they belong to."""
TOOL = "lg/tool"
"""On tools listed by the gateway: the server's own name for them."""
EFFECT = "lg/effect"
"""On tools listed by the gateway: `allow`, `approve` (a human is asked), or `depends` (on the arguments)."""

MAX_KEY = 200
"""Longest idempotency key or run id, in characters."""

_BAGGAGE_NAMES = ("lg-run", "lg-epoch", "lg-step", "idempotency-key")


def baggage(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return our members of the W3C baggage in `_meta["baggage"]`, percent-decoded."""
    text = meta.get("baggage")
    if not isinstance(text, str):
        return {}
    members = (member.partition("=") for member in text.split(","))
    pairs = ((name.strip(), unquote(value.partition(";")[0].strip())) for name, _, value in members)
    return {name: value for name, value in pairs if name in _BAGGAGE_NAMES}


def idempotency_key(meta: Mapping[str, Any]) -> str | None:
    """Return the call's idempotency key. Raises `InvalidArguments` if the two ways to send it disagree."""
    return _agreed("idempotency key", meta.get(IDEMPOTENCY_KEY), baggage(meta).get("idempotency-key"))


def run_fields(meta: Mapping[str, Any]) -> dict[str, str]:
    """Return `run_id`, `epoch` and `step`, those that were sent. Raises `InvalidArguments` if the two ways disagree."""
    given = meta.get(RUN)
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArguments(f"_meta[{RUN!r}] must be an object with run_id, epoch and step")
    carried, direct = baggage(meta), given or {}
    fields: dict[str, str] = {}
    for name, member in (("run_id", "lg-run"), ("epoch", "lg-epoch"), ("step", "lg-step")):
        value = _agreed(name, direct.get(name), carried.get(member))
        if value is not None:
            fields[name] = value
    return fields


def _agreed(what: str, direct: Any, carried: str | None) -> str | None:
    if isinstance(direct, int) and not isinstance(direct, bool):
        direct = str(direct)
    if direct is not None and not isinstance(direct, str):
        raise InvalidArguments(f"the {what} in _meta must be a string")
    if direct is not None and carried is not None and direct != carried:
        raise InvalidArguments(f"the {what} in _meta and in the baggage disagree: {direct!r} and {carried!r}")
    value = direct if direct is not None else carried
    if value is not None and (len(value) > MAX_KEY or not value.isprintable() or not value):
        raise InvalidArguments(f"the {what} must be 1 to {MAX_KEY} printable characters")
    return value
