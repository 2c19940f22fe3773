"""The end of the soak: the gateway is told to stop while streams are open and calls run."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter

import anyio
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from bench.soak.clients import ERAS, Era

STREAMS = 4
"""Clients of each era, each with an open stream and a call that runs."""
EXIT_S = 60.0
ANSWER_S = 60.0
CALL = "plain__nap"
"""A tool that takes two seconds."""


async def drained(url: str, gateway: subprocess.Popen[bytes], events: Counter[str]) -> list[str]:
    """Stop a gateway; return what was wrong about how it ended."""
    problems: list[str] = []
    ready = [anyio.Event() for _ in range(STREAMS * len(ERAS))]
    async with anyio.create_task_group() as tasks:
        for number, begun in enumerate(ready):
            tasks.start_soon(_use, url, ERAS[number % 2], begun, problems, events)
        for begun in ready:
            await begun.wait()
        await anyio.sleep(1.0)  # half of what the calls take
        gateway.send_signal(signal.SIGTERM)
        with anyio.move_on_after(EXIT_S):
            while gateway.poll() is None:
                await anyio.sleep(0.1)
    if gateway.poll() is None:
        problems.append(f"drain: the gateway did not end within {EXIT_S:.0f} s")
    elif gateway.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        problems.append(f"drain: the gateway ended with status {gateway.returncode}")
    return problems


async def _use(url: str, era: Era, begun: anyio.Event, problems: list[str], events: Counter[str]) -> None:
    """Open a stream of news, and make a call that runs while the gateway ends."""
    answered = False
    try:
        async with httpx2.AsyncClient(timeout=ANSWER_S) as http:
            transport = streamable_http_client(url, http_client=http)
            async with Client(transport, mode=era, cache=None) as client, anyio.create_task_group() as tasks:
                if era != "legacy":  # a 2025 client has its stream by itself
                    tasks.start_soon(_listen, client)
                await client.list_tools()
                begun.set()
                result = await client.call_tool(CALL, {})
                answered = True
                events["calls answered while the gateway ended"] += 1
                if result.is_error:
                    problems.append(f"drain: a call that ran was answered with an error ({era}): {result.content}")
                tasks.cancel_scope.cancel()
    except (MCPError, httpx2.HTTPError, ExceptionGroup) as error:
        begun.set()
        if not answered:  # else the connection ended with the gateway, after the answer
            problems.append(f"drain: a call that ran got no answer ({era}): {error!r}")


async def _listen(client: Client) -> None:
    try:
        async with client.listen(tools_list_changed=True) as subscription:
            async for _ in subscription:
                continue
    except (MCPError, RuntimeError):
        return
