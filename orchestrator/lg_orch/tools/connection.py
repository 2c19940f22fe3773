"""An open connection to a gateway, and the error for a lost one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import GatewayGone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.types import CallToolResult, InputRequiredResult

    from lg_orch.tools.tool_info import ToolInfo


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An open connection: what is offered and the wire method that `tools.GatewayTools` sends with."""

    tools: tuple[ToolInfo, ...]
    send: Callable[..., Awaitable[CallToolResult | InputRequiredResult]]
    server: str
    """Name and version that the gateway reports."""
    again: Callable[[], Awaitable[Connection]] | None = None
    """Asks the gateway anew what it offers; returns the connection with that. Raises what a lost connection raises."""


def gone(why: str) -> GatewayGone:
    """Return the error that ends a run whose gateway was lost.

    The run can be resumed: the interrupted step is repeated, under its keys.
    """
    return GatewayGone(
        f"the connection to the gateway was lost during the run: {why}",
        hint="run the command again; `lg-orch resume` first finds out what happened to the interrupted call",
    )
