"""One of several gateway processes behind one address, and how it passes on requests of another one's sessions.

A session of a 2025 client lives in the process that opened it. Its number is put before the session's id, and a worker
that gets a request of another one's session passes it on through that worker's own socket, as it came: the other one
checks host, login and limits itself. Requests of the 2026 revision have no session, and any worker serves them.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lg_policy.errors import ConfigError

WORKER = "LG_WORKER"
"""Tells a worker which one it is."""
SESSION = b"mcp-session-id"
_OF_ONE_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"te", b"upgrade", b"proxy-connection"})


@dataclass(frozen=True, kw_only=True)
class WorkerPlace:
    """Which worker this is, of how many, and where their sockets are."""

    number: int
    count: int
    folder: str

    def text(self) -> str:
        """Return this as text."""
        return json.dumps([self.number, self.count, self.folder])

    @classmethod
    def of_this_process(cls) -> Self | None:
        """Return the place that this process was given, `None` if it is no worker. Raises `ConfigError`."""
        text = os.environ.pop(WORKER, None)
        if text is None:
            return None
        try:
            number, count, folder = json.loads(text)
            return cls(number=int(number), count=int(count), folder=str(folder))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{WORKER} is not for you to set", hint="use --workers N") from error

    def path_of(self, number: int) -> str:
        """Return where a worker listens for the others."""
        return str(Path(self.folder) / f"{number}.sock")

    def sockets(self) -> list[socket.socket]:
        """Return this worker's sockets: that of all clients, which is its standard input, and that of the others."""
        public = socket.socket(fileno=os.dup(0))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            os.unlink(self.path_of(self.number))
        own.bind(self.path_of(self.number))
        own.listen(128)
        return [public, own]

    def routing(self, app: ASGIApp) -> ASGIApp:
        """Return an application that passes on requests of others' sessions."""
        return SessionRouting(app, place=self)


class SessionRouting:
    """ASGI middleware, before any other: this worker's sessions are served, others' are passed on."""

    def __init__(self, app: ASGIApp, *, place: WorkerPlace) -> None:
        self._app = app
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == SESSION), None)
        owner, own_name = self._owner(given)
        if owner != self._place.number:
            await self._pass_on(owner, scope, receive, send)
            return
        if own_name is not None:
            headers = [(name, own_name if name == SESSION else value) for name, value in scope["headers"]]
            scope = {**scope, "headers": headers}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                mark = b"%d-" % self._place.number
                message["headers"] = [
                    (name, mark + value if name.lower() == SESSION else value) for name, value in message["headers"]
                ]
            await send(message)

        await self._app(scope, receive, named)

    def _owner(self, given: bytes | None) -> tuple[int, bytes | None]:
        """Return whose session an id names, and the id that its owner knows. An id of nobody is refused here."""
        mark, found, name = (given or b"").partition(b"-")
        if not found or not mark.isdigit() or len(mark) > 4 or int(mark) >= self._place.count:
            return self._place.number, None
        return int(mark), name

    async def _pass_on(self, owner: int, scope: Scope, receive: Receive, send: Send) -> None:
        import httpx2

        ended = anyio.Event()
        request = _Incoming(receive, ended)
        transport = httpx2.AsyncHTTPTransport(uds=self._place.path_of(owner))
        query = scope["query_string"].decode("latin-1")
        url = f"http://worker{scope['raw_path'].decode('latin-1')}" + (f"?{query}" if query else "")
        try:
            async with httpx2.AsyncClient(transport=transport, timeout=None) as client:
                sent = client.build_request(
                    scope["method"], url, headers=_one_hop(scope["headers"]), content=request.body()
                )
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(request.watch, tasks.cancel_scope)
                    await _answer(client, sent, send)
                    tasks.cancel_scope.cancel()
        except (httpx2.ConnectError, FileNotFoundError):
            # It has just ended, and its sessions with it. This is what the SDK answers for a session that is gone.
            gone = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Session not found"}}
            await JSONResponse(gone, status_code=404)(scope, receive, send)


class _Incoming:
    """The body of a request, and the end of its client."""

    def __init__(self, receive: Receive, read: anyio.Event) -> None:
        self._receive = receive
        self._read = read

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return
            yield message.get("body", b"")
            if not message.get("more_body"):
                self._read.set()
                return

    async def watch(self, scope: anyio.CancelScope) -> None:
        """Cancel the request when the client has gone."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            continue
        scope.cancel()


async def _answer(client: Any, request: Any, send: Send) -> None:
    response = await client.send(request, stream=True)
    try:
        headers = _one_hop(response.headers.raw)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        async for part in response.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await response.aclose()


def _one_hop(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OF_ONE_HOP]
