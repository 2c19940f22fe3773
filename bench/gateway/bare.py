"""The reference: a server that passes every call on to one upstream and does nothing else. What the SDK itself costs.

`python -m bench.gateway.bare [--port N] -- COMMAND …` serves over stdio, or over Streamable HTTP on a loopback port.
A URL instead of a command is a server over HTTP.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio
import mcp_types as t
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server import Server
from mcp.server.stdio import stdio_server


def build(upstream: Client, tools: list[t.Tool]) -> Server[Any]:
    async def list_tools(_ctx: Any, _params: Any) -> t.ListToolsResult:
        return t.ListToolsResult(tools=tools)

    async def call_tool(_ctx: Any, params: t.CallToolRequestParams) -> Any:
        return await upstream.session.call_tool(params.name, dict(params.arguments or {}), allow_input_required=True)

    schemas = {tool.name: tool.input_schema for tool in tools}
    return Server("bare", on_list_tools=list_tools, on_call_tool=call_tool, get_tool_input_schema=schemas.get)


async def serve(command: list[str], port: int | None) -> None:
    program = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(command[0] if command[0].startswith("http") else program, cache=None) as upstream:
        tools = (await upstream.session.list_tools()).tools
        server = build(upstream, tools)
        if port is None:
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())
            return
        import uvicorn

        app = server.streamable_http_app(host="127.0.0.1")
        print(f"listening on http://127.0.0.1:{port}/mcp", file=sys.stderr, flush=True)
        await uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", http="h11")).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    anyio.run(serve, args.command, args.port)


if __name__ == "__main__":
    main()
