"""A server made with the SDK's `MCPServer` whose tools ask as only the 2025 handshake allows, though it knows 2026."""

from __future__ import annotations

import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("live")


class Colour(BaseModel):
    """The form."""

    colour: str


@server.tool()
async def ask(ctx: Context) -> str:
    """Ask for a colour."""
    print("ask", file=sys.stderr)
    answer = await ctx.elicit("Which colour?", Colour)
    return f"{answer.action} {answer.data.colour if answer.action == 'accept' else ''}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def look(ctx: Context) -> str:
    """Ask for a colour, and change nothing."""
    return await ask(ctx)


if __name__ == "__main__":
    server.run()
