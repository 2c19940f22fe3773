"""FastMCP's proxy before one stdio server, for comparison: its default, a session for each call, or one kept open."""

from __future__ import annotations

import argparse
import asyncio
import warnings
from typing import Any


async def serve(command: list[str], port: int | None, kept: bool) -> None:
    warnings.simplefilter("ignore")
    from fastmcp import Client
    from fastmcp.server import create_proxy

    servers: dict[str, Any] = {"mcpServers": {"a": {"command": command[0], "args": command[1:]}}}
    how: dict[str, Any] = {"transport": "stdio"}
    if port is not None:
        how = {"transport": "http", "host": "127.0.0.1", "port": port}
    if kept:
        async with Client(servers) as client:
            await create_proxy(client, name="peer").run_async(**how, show_banner=False, log_level="ERROR")
    else:
        await create_proxy(servers, name="peer").run_async(**how, show_banner=False, log_level="ERROR")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    asyncio.run(serve(args.command, args.port, args.kept))


if __name__ == "__main__":
    main()
