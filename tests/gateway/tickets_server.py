"""The third-party server of docs/policy.md: a ticket system that keeps nothing."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as t
from mcp.server import Server
from mcp.server.stdio import stdio_server

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
TOOLS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "search": ({"query": TEXT}, ["query"]),
    "show": ({"id": NUMBER}, ["id"]),
    "delete": ({"id": NUMBER}, ["id"]),
    "create": (
        {"project": TEXT, "title": TEXT, "priority": {"type": "integer", "minimum": 1, "maximum": 5}},
        ["project", "title"],
    ),
}


async def list_tools(_ctx: Any, _params: Any) -> t.ListToolsResult:
    tools = [
        t.Tool(
            name=name,
            description=name,
            input_schema={"type": "object", "properties": properties, "required": required},
            annotations=t.ToolAnnotations(read_only_hint=True),
        )
        for name, (properties, required) in TOOLS.items()
    ]
    return t.ListToolsResult(tools=tools)


async def call_tool(_ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(type="text", text=params.name)])


async def main() -> None:
    server: Server[Any] = Server("tickets", version="1", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
