"""Clients that do as little as a client can: what is measured is the other side, and many of them fit beside it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
LIMIT = 1 << 26
"""Bytes of an answer."""


class RawStdio:
    """A program over stdio. `modern`: it speaks revision 2026, else 2025-11-25."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str] | None = None, *, modern: bool) -> None:
        self._argv = argv
        self._environment = environment
        self._modern = modern
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=pipe, stdout=pipe, stderr=null, env=self._environment, limit=LIMIT
        )
        if self._modern:
            await self.request("server/discover", {})
        else:
            about = {"clientInfo": {"name": "bench", "version": "1"}, "capabilities": {}}
            await self.request("initialize", {"protocolVersion": "2025-11-25", **about})
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    @property
    def pid(self) -> int:
        """The process of the program."""
        return self._process.pid

    async def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """Return the line that answers a request. Raises `ValueError` for an error or the end."""
        number = next(self._numbers)
        meta = {"_meta": _META} if self._modern else {}
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, **meta}})
        if self._process.stdout is None:
            raise RuntimeError("the pipes of a process that was started with pipes are missing")
        while line := await self._process.stdout.readline():
            if b'"id":%d,' % number in line[:100].replace(b" ", b""):
                if b'"error"' in line[:100] or b'"isError":true' in line[-200:]:
                    break
                return line
        raise ValueError(line[:500])

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")


class RawHttp:
    """One connection over HTTP that is kept, in revision 2026."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LIMIT)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def call(self, tool: str, size: int) -> None:
        """Call a tool. Raises `ValueError` if it fails."""
        params: dict[str, Any] = {"name": tool, "arguments": {"bytes": size}, "_meta": _META}
        request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": "tools/call", "params": params}
        body = json.dumps(request).encode()
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._answer()
        if b'"isError":false' not in answer[:1000] + answer[-1000:]:
            raise ValueError(answer[:500])

    async def _answer(self) -> bytes:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        for line in lines:
            if line.startswith(b"content-length:"):
                return await self._reader.readexactly(int(line.split(b":")[1]))
        parts = b""
        while size := int(await self._reader.readline(), 16):
            parts += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return parts
