"""Checks HTTP requests before the MCP endpoint: who may send them. Adapts those of unusual clients.

- `Host` and `Origin` must be one of those allowed, compared as a whole: `localhost:1.evil.example` is refused.
- A request that says its length in two ways is refused, and its connection closed: a proxy may have read it otherwise.
- `/mcp/` is answered as `/mcp`, without a redirect, which would name an address that a proxy's clients cannot reach.
- A client that accepts `application/json` alone gets its answer as JSON. One that does not say what it accepts, or
  accepts events alone, gets events.
- A method that the endpoint does not have is refused, and a refused request begins no session.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/mcp"
METHODS = ("GET", "POST", "DELETE")
SESSION = "mcp-session-id"
LOOPBACK_HOSTS = ("127.0.0.1:*", "localhost:*", "[::1]:*")
LOOPBACK_ORIGINS = ("http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*")
_PORT = re.compile(r":\d{1,5}$")


class Addresses:
    """A set of hosts or origins. `NAME:*` stands for the name with any port, and without one."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = [name.lower() for name in allowed]
        self._exact = frozenset(name for name in names if not name.endswith(":*"))
        self._any_port = frozenset(name[:-2] for name in names if name.endswith(":*"))

    def __contains__(self, value: str) -> bool:
        name = value.lower()
        return name in self._exact or _PORT.sub("", name) in self._any_port


class Front:
    """ASGI middleware that refuses foreign hosts and origins and adapts unusual requests."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._hosts = Addresses(hosts)
        self._origins = Addresses(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 for two lengths, 421 for a foreign host, 403 for a foreign origin; pass on any other request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if two_lengths(scope):
            closed = PlainTextResponse("Content-Length and Transfer-Encoding", 400, {"connection": "close"})
            await closed(scope, receive, send)
            return
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            await PlainTextResponse("Invalid Host header", status_code=421)(scope, receive, send)
            return
        if len(origins) > 1 or (origins and origins[0] not in self._origins):
            await PlainTextResponse("Invalid Origin header", status_code=403)(scope, receive, send)
            return
        if scope["path"] == f"{PATH}/":
            scope = {**scope, "path": PATH, "raw_path": PATH.encode()}
        if scope["path"] == PATH and scope["method"] not in METHODS and not _is_preflight(scope, headers):
            refused = PlainTextResponse("Method Not Allowed", 405, {"allow": ", ".join(METHODS)})
            await refused(scope, receive, send)
            return
        if SESSION not in headers:
            send = _without_session(send)
        accept = headers.get("accept", "")
        as_json = "application/json" in accept and "text/event-stream" not in accept
        if scope["method"] == "POST" and (as_json or accept.strip() in ("", "text/event-stream")):
            scope = {**scope, "headers": list(scope["headers"])}
            MutableHeaders(scope=scope)["accept"] = "application/json, text/event-stream"
            send = _AsJson(send) if as_json else send
        await self._app(scope, receive, send)


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """Return whether a browser asks whether a page may send a request. The CORS middleware answers, if there is one."""
    return bool(scope["method"] == "OPTIONS") and "access-control-request-method" in headers


def _without_session(send: Send) -> Send:
    """Leave the session's id out of the answer to a request that had none and is refused."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            kept = [(name, value) for name, value in message["headers"] if name.lower() != SESSION.encode()]
            message = {**message, "headers": kept}
        await send(message)

    return sending


def two_lengths(scope: Scope) -> bool:
    """Return whether a request says its length in two ways."""
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}


class _AsJson:
    """Turns a stream of events into the one JSON message in it that answers the request."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if kind.startswith("text/event-stream"):
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        answer = _answer(bytes(self._body))
        headers = MutableHeaders(raw=list(self._start["headers"]))
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(answer))
        await self._send({**self._start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": answer})


def _answer(events: bytes) -> bytes:
    """Return the data of the last event that is a response. An event's data may span several lines."""
    found = b"{}"
    for event in re.split(rb"\r?\n\r?\n", events):
        lines = [line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:")]
        if not lines:
            continue
        data = b"\n".join(lines)
        try:
            message: Any = json.loads(data)
        except ValueError:
            continue
        if isinstance(message, dict) and ("result" in message or "error" in message):
            found = data
    return found


def front(hosts: Iterable[str], origins: Iterable[str], *, browsers: bool) -> list[Middleware]:
    """Return the middleware; with `browsers`, pages of the allowed origins may read the answers (CORS)."""
    made = [Middleware(Front, hosts=tuple(hosts), origins=tuple(origins))]
    if browsers:
        names = "|".join(re.escape(origin[:-2]) + r"(?::\d{1,5})?" for origin in origins if origin.endswith(":*"))
        made.append(
            Middleware(
                CORSMiddleware,
                allow_origin_regex=names,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["mcp-session-id", "mcp-protocol-version"],
            )
        )
    return made
