"""Tells a 2026 server, with each call, what that call's client can answer.

One connection serves many clients, and its session would name its own capabilities with every request. A 2025 server
learns the connection's once, in the handshake.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import mcp_types as t
from mcp.client.client import Client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

current_capabilities: ContextVar[Mapping[str, Any] | None] = ContextVar("capabilities of a call's client", default=None)
"""What the client of the call that is sent while this is set can answer; `None`: what the connection's session says."""


def tell_callers_capabilities(client: Client) -> None:
    """Have a connected session name the capabilities of each call's client."""
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return
    session = client.session
    own = session._stamp  # private: the session has no other hook for what it adds to a request

    def stamp(data: dict[str, Any], opts: Any) -> None:
        own(data, opts)
        meta = data["params"]["_meta"]
        data["params"]["_meta"] = with_callers_capabilities(meta)

    session._stamp = stamp


def with_callers_capabilities(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's `_meta` with the capabilities of the call that is being sent."""
    told = current_capabilities.get()
    if told is None or t.CLIENT_CAPABILITIES_META_KEY not in meta:
        return dict(meta)
    return {**meta, t.CLIENT_CAPABILITIES_META_KEY: dict(told)}
