"""Finds and calls every tool through a gateway that lists only its meta tools (`gateway.expose = "search"`).

`mcp_discover` is paged to its end, asked by metadata for what a listing would have said besides (annotations, root,
policy); a found tool is then called by its own name, which `mcp_execute` carries. Policy, approval and ledger act on
the inner tool either way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import GatewayGone
from lg_orch.tools.tool_info import EXECUTE, tool_info

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.types import CallToolResult, InputRequiredResult

    from lg_orch.tools.connection import Connection

DISCOVER = "mcp_discover"
DETAILS = "lg/details"
PAGE = 50
PAGES_MAX = 100
"""A gateway that never comes to an end is given up."""
TIMEOUT_S = 60.0


async def unfolded(connection: Connection) -> Connection:
    """Return the connection as if every tool were listed; unchanged if the gateway lists them.

    Raises `GatewayGone`.
    """
    if not {DISCOVER, EXECUTE} <= {tool.name for tool in connection.tools}:
        return connection
    found = [
        tool_info(entry["name"], entry["description"], _metadata(entry), entry["schema"])
        async for entry in _all(connection)
    ]
    inner = frozenset(tool.name for tool in found)

    async def send(
        name: str, arguments: dict[str, Any], *rest: Any, **again: Any
    ) -> CallToolResult | InputRequiredResult:
        if name not in inner:
            return await connection.send(name, arguments, *rest, **again)
        return await connection.send(EXECUTE, {"tool": name, "arguments": arguments}, *rest, **again)

    others = [tool for tool in connection.tools if tool.name not in (DISCOVER, EXECUTE)]
    return replace(connection, tools=(*others, *found), send=send)


async def _all(connection: Connection) -> AsyncIterator[dict[str, Any]]:
    offset: object = 0
    for _ in range(PAGES_MAX):
        arguments = {"limit": PAGE, "offset": offset}
        answer = await connection.send(DISCOVER, arguments, {DETAILS: True}, TIMEOUT_S, None)
        page = getattr(answer, "structured_content", None)
        if getattr(answer, "is_error", True) or not isinstance(page, dict) or not isinstance(page.get("tools"), list):
            raise GatewayGone(f"the gateway's {DISCOVER} did not answer with its tools")
        for entry in page["tools"]:
            yield {
                "name": str(entry.get("name", "")),
                "description": str(entry.get("description") or ""),
                "schema": entry.get("inputSchema"),
                "annotations": entry.get("annotations") or {},
                "meta": entry.get("_meta") or {},
            }
        offset = page.get("next_offset")
        if not isinstance(offset, int):
            return
    raise GatewayGone(f"the gateway's {DISCOVER} does not come to an end after {PAGES_MAX * PAGE} tools")


def _metadata(entry: dict[str, Any]) -> dict[str, Any]:
    """In the shape that `langchain.mcp` keeps a listed tool's definition in."""
    read_only = entry["annotations"].get("readOnlyHint")
    return {"mcp": {"tool": {"_meta": entry["meta"], "annotations": {"read_only_hint": read_only}}}}
