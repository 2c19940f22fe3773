"""A server over HTTP whose tools answer with bytes that no library would write: torn, late, compressed or none."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

Say = Callable[[bytes], Awaitable[None]]
Behaviour = Callable[["RawServer", Any, Say], Awaitable[bool]]
BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(function: Behaviour) -> Behaviour:
    """Make a function a tool of the server. It returns whether the connection is kept."""
    BEHAVIOURS[function.__name__] = function
    return function


class RawServer:
    """What came to the server, and what it is to do."""

    def __init__(self, *, session: bool) -> None:
        self.session = "first" if session else ""
        self.url = ""
        self.calls: list[str] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.closed = 0
        self.said: list[dict[str, Any]] = []
        self.go_on = asyncio.Event()
        self.refused: set[str] = set()
        """Values of `Authorization` with which no call is made."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed += 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, path, _ = first.split()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((f"{method} {path}", headers))

        async def say(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        if method != "POST":
            return await resumed(self, headers, say) if "last-event-id" in headers else await refuse(say, 405)
        if path != "/mcp" and path != "/mcp/":
            return await refuse(say, 404)
        message = json.loads(body)
        self.said.append(message)
        if message.get("method") != "tools/call":
            return await self._other(message, headers, say)
        if self.session and headers.get("mcp-session-id") != self.session:
            return await refuse(say, 404)
        if headers.get("authorization") in self.refused:
            return await refuse(say, 401)
        name = message["params"]["name"]
        self.calls.append(name)
        return await BEHAVIOURS[name](self, message["id"], say)

    async def _other(self, message: dict[str, Any], headers: dict[str, str], say: Say) -> bool:
        result: dict[str, Any] = {}
        if message.get("method") == "initialize":
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"}}
            result = {"protocolVersion": message["params"]["protocolVersion"]} | about
        elif self.session and headers.get("mcp-session-id") != self.session:
            return await refuse(say, 404)
        elif message.get("method") == "tools/list":
            result = {"tools": [definition(name) for name in BEHAVIOURS]}
        elif "id" not in message or "method" not in message:
            await say(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            return True
        given = f"mcp-session-id: {self.session}\r\n" if self.session else ""
        await say(answer(message["id"], result, given))
        return True


def definition(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": name == "killed_read"}}


def message(number: Any, result: dict[str, Any] | str) -> bytes:
    found = {"content": [{"type": "text", "text": result}]} if isinstance(result, str) else result
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": found}).encode()


def answer(number: Any, result: dict[str, Any] | str, more: str = "") -> bytes:
    body = message(number, result)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def chunked(data: bytes, size: int = 7) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def refuse(say: Say, status: int, more: str = "") -> bool:
    await say(f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n{more}\r\n".encode())
    return True


async def resumed(server: RawServer, headers: dict[str, str], say: Say) -> bool:
    if headers["last-event-id"] == "8":
        await say(EVENTS)
        await server.go_on.wait()
        return False
    if headers["last-event-id"] != "7":
        return await refuse(say, 404)
    number = next(said["id"] for said in server.said[::-1] if said.get("method") == "tools/call")
    await say(EVENTS + chunked(b"data: " + message(number, "resumed") + b"\n\n"))
    return True


@behaviour
async def plain(_server: RawServer, number: Any, say: Say) -> bool:
    await say(answer(number, "plain"))
    return True


@behaviour
async def stream(_server: RawServer, number: Any, say: Say) -> bool:
    await say(EVENTS + chunked(b"event: message\r\ndata: " + message(number, "stream") + b"\r\n\r\n"))
    return True


@behaviour
async def stream_with_a_slow_end(server: RawServer, number: Any, say: Say) -> bool:
    data = b"data: " + message(number, "slow end") + b"\n\n"
    await say(EVENTS + b"%x\r\n%b\r\n" % (len(data), data))
    await server.go_on.wait()
    await say(b"0\r\n\r\n")
    return True


@behaviour
async def stream_with_a_slow_start(server: RawServer, number: Any, say: Say) -> bool:
    await say(EVENTS)
    await server.go_on.wait()
    await say(chunked(b"data: " + message(number, "slow start") + b"\n\n"))
    return True


@behaviour
async def torn(_server: RawServer, number: Any, say: Say) -> bool:
    for byte in JSON + b"transfer-encoding: chunked\r\n\r\n" + chunked(message(number, "torn"), 3):
        await say(bytes([byte]))
        await asyncio.sleep(0)
    return True


@behaviour
async def early_words(_server: RawServer, number: Any, say: Say) -> bool:
    await say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + answer(number, "at last"))
    return True


@behaviour
async def old_protocol(_server: RawServer, number: Any, say: Say) -> bool:
    await say(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + message(number, "old"))
    return False


@behaviour
async def closing(_server: RawServer, number: Any, say: Say) -> bool:
    await say(answer(number, "closing", "connection: close\r\n"))
    return False


@behaviour
async def closed_in_silence(_server: RawServer, number: Any, say: Say) -> bool:
    await say(answer(number, "closed"))
    return False


@behaviour
async def notes_first(_server: RawServer, number: Any, say: Say) -> bool:
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
    events = b": ping\n\ndata: " + json.dumps(note).encode() + b"\n\ndata: " + message(number, "noted") + b"\n\n"
    await say(EVENTS + chunked(events))
    return True


@behaviour
async def reports(server: RawServer, number: Any, say: Say) -> bool:
    token = next(said["params"]["_meta"]["progressToken"] for said in server.said if said.get("id") == number)
    wrong = [{"progressToken": "x", "progress": 5}, {"progressToken": token, "progress": "y"}, {"progressToken": []}]
    reports = [*wrong, {"progressToken": token, "progress": 1, "total": 2, "message": "half"}]
    notes = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": params} for params in reports]
    events = b"".join(b"data: " + json.dumps(note).encode() + b"\n\n" for note in notes)
    await say(EVENTS + chunked(events + b"data: " + message(number, "reported") + b"\n\n"))
    return True


@behaviour
async def continued(_server: RawServer, _number: Any, say: Say) -> bool:
    await say(EVENTS + chunked(b"id: 7\nretry: 1\ndata:\n\n"))
    return True


@behaviour
async def killed(_server: RawServer, _number: Any, _say: Say) -> bool:
    return False


@behaviour
async def killed_read(_server: RawServer, _number: Any, _say: Say) -> bool:
    return False


@behaviour
async def cut_head(_server: RawServer, _number: Any, say: Say) -> bool:
    await say(b"HTTP/1.1 200 OK\r\ncontent-ty")
    return False


@behaviour
async def cut_body(_server: RawServer, number: Any, say: Say) -> bool:
    await say(answer(number, "x" * 1000)[:-500])
    return False


@behaviour
async def cut_stream(_server: RawServer, number: Any, say: Say) -> bool:
    await say(EVENTS + chunked(b"data: " + message(number, "x"))[:-9])
    return False


@behaviour
async def no_last_line_break(_server: RawServer, number: Any, say: Say) -> bool:
    await say(EVENTS + chunked(b"data: " + message(number, "x")))
    return True


@behaviour
async def compressed(_server: RawServer, number: Any, say: Say) -> bool:
    body = gzip.compress(message(number, "x" * 1_000_000))
    await say(JSON + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return True


@behaviour
async def endless_head(_server: RawServer, _number: Any, say: Say) -> bool:
    await say(JSON)
    for _ in range(200):
        await say(b"x-more: " + b"x" * 1000 + b"\r\n")
    return False


@behaviour
async def noise(_server: RawServer, _number: Any, say: Say) -> bool:
    await say(b"\x00\x01 hello\r\n\r\n")
    return False


@behaviour
async def silent(server: RawServer, _number: Any, say: Say) -> bool:
    await say(b"HTTP/1.1 200 OK\r\ncontent-type: applic")
    await server.go_on.wait()
    return False


@behaviour
async def forbidden(_server: RawServer, _number: Any, say: Say) -> bool:
    return await refuse(say, 403)


@behaviour
async def log_in_first(_server: RawServer, _number: Any, say: Say) -> bool:
    return await refuse(say, 401, 'www-authenticate: Bearer resource_metadata="http://x.example"\r\n')


@behaviour
async def moved(_server: RawServer, _number: Any, say: Say) -> bool:
    return await refuse(say, 307, "location: http://elsewhere.example/mcp\r\n")


@behaviour
async def done_elsewhere(_server: RawServer, _number: Any, say: Say) -> bool:
    return await refuse(say, 303, "location: http://user:word@elsewhere.example/done?word=word\r\n")


@behaviour
async def refused_at_length(server: RawServer, _number: Any, say: Say) -> bool:
    await say(b"HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\nfor the reason")
    await server.go_on.wait()
    return False


@behaviour
async def continued_in_silence(_server: RawServer, _number: Any, say: Say) -> bool:
    await say(EVENTS + chunked(b"id: 8\nretry: 1\ndata:\n\n"))
    return False


@behaviour
async def forgets_the_session(server: RawServer, _number: Any, say: Say) -> bool:
    server.session = "second" if server.session == "first" else server.session
    return (
        await refuse(say, 404) if server.calls.count("forgets_the_session") == 1 else await plain(server, _number, say)
    )


@asynccontextmanager
async def raw_server(*, session: bool = False) -> AsyncIterator[RawServer]:
    """Run the server in this process."""
    state = RawServer(session=session)
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
    state.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield state
    finally:
        state.go_on.set()
        server.close()


def settings(state: RawServer, *more: str, direct: bool = True) -> str:
    """Return the server's entry. With a login in its address, its calls go through the SDK's session."""
    url = state.url if direct else state.url.replace("://", "://user:word@")
    return "\n".join(["[gateway.servers.raw]", f'url = "{url}"', 'mode = "legacy"', *more, ""])
