"""Tells a 2025 server what is new on the side of its clients: the level of log messages, and other roots."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lg_gateway.processes.server_specs import ServerSpec

log = logging.getLogger(__name__)

NOTICE_S = 5.0
"""How long a server may take to be told."""
Notice = Callable[[Client | None, ServerSpec], Awaitable[None]]
"""Tells one connected server something; without a connection there is nothing to tell."""


async def set_log_level(level: str | None, client: Client | None, spec: ServerSpec) -> None:
    """Have a server send log messages from a level on, if it is one of 2025 that has any."""
    if client is None or level is None or client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return
    if client.server_capabilities.logging is None:
        return
    params = t.SetLevelRequestParams(level=cast(Any, level))
    try:
        with anyio.fail_after(NOTICE_S):
            await client.session.send_request(t.SetLevelRequest(params=params), t.EmptyResult)
    except (MCPError, TimeoutError, ValidationError) as error:
        log.warning("%s did not take the level of log messages: %s", spec.name, error)


async def roots_changed(client: Client | None, spec: ServerSpec) -> None:
    """Tell a server of 2025 that may ask for roots that there are others now."""
    if client is None or not spec.roots or client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return
    with anyio.move_on_after(NOTICE_S):
        await client.session.send_notification(t.RootsListChangedNotification())
