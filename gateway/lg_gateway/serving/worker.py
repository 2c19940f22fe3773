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
from lg_policy.wire.http_front import two_lengths

WORKER = "LG_WORKER"
"""Tells a worker which one it is."""
SESSION = b"mcp-session-id"
KEPT = 20
"""Connections to another worker that are kept for another request."""
KEPT_S = 2.0
"""How long one is kept: less than the other one waits before it closes it."""
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

    def socket_name(self) -> str:
        """Return a name for this worker that those of no other gateway have: it stays when the worker is restarted."""
        return f"{os.path.basename(self.folder)}.{self.number}"

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
        self._to: dict[int, Any] = {}
        """The connections to each other worker."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or pass it on."""
        if scope["type"] != "http":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._close(scope)
            return
        given = next((value for name, value in scope["headers"] if name == SESSION), None)
        owner, own_name = self._owner(given)
        if owner != self._place.number and not two_lengths(scope):  # which is refused here
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

        incoming = _Incoming(receive)
        query = scope["query_string"]
        sent = httpx2.Request(
            scope["method"],
            "http://worker/",
            headers=_one_hop(scope["headers"]),
            content=incoming.body(),
            extensions={"target": scope["raw_path"] + (b"?" + query if query else b"")},
        )
        transport = self._connections(owner)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(incoming.watch, tasks.cancel_scope)
            refusal = None
            try:
                response = await transport.handle_async_request(sent)
            except (httpx2.ConnectError, FileNotFoundError):
                # It has just ended, and its sessions with it. This is what the SDK answers for one that is gone.
                refusal = _refusal(404, -32600, "Session not found")
            except httpx2.TransportError:
                refusal = _refusal(502, -32603, "the worker that has this session ended before it answered")
            if refusal is not None:
                await refusal(scope, receive, send)
            else:
                await _answer(response, send)
            tasks.cancel_scope.cancel()

    def _connections(self, owner: int) -> Any:
        if owner not in self._to:
            import httpx2

            # As many as there are clients: a stream of events holds one for long.
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=KEPT_S)
            self._to[owner] = httpx2.AsyncHTTPTransport(uds=self._place.path_of(owner), limits=limits)
        return self._to[owner]

    async def _close(self, scope: Scope) -> None:
        """Close the connections when the application has ended."""
        while scope["type"] == "lifespan" and self._to:
            _, transport = self._to.popitem()
            await transport.aclose()


class _Incoming:
    """The body of a request, and the end of its client."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = anyio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. Raises `WriteError` if the client goes: half a body is no request."""
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                import httpx2

                raise httpx2.WriteError("the client has gone")
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


def _refusal(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}, status_code=status)


async def _answer(response: Any, send: Send) -> None:
    try:
        headers = _one_hop(response.headers.raw)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        async for part in response.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await response.aclose()


def _one_hop(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OF_ONE_HOP]
