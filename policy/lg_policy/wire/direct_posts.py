"""Handles the requests that an HTTP client sends most without the layers of Starlette and the SDK's sessions.

Those pass a request through a dozen layers, streams and tasks, which costs more than most calls. Here a POST with a
call or list in its plain form goes to the SDK's own request handler at once. Everything else, and whatever would be
refused, goes to the ordinary application with its body: that has the last word on every refusal. Answers are the same,
byte for byte. `Host`, login, the headers of the protocol and the length of the body are checked here too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, InboundModernRoute, classify_inbound_request
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lg_policy.wire.direct_requests import LINE_BYTES, plain_request, progress_said
from lg_policy.wire.direct_sessions import SESSION, DirectSessions
from lg_policy.wire.http_front import PATH, Addresses
from lg_policy.wire.plain_calls import CallersPages, ListedFrom, ListPages, answer_of
from lg_policy.wire.posted_answer import PING_S, PostedAnswer
from lg_policy.wire.sdk_names import has_all

Headers = Sequence[tuple[bytes, bytes]]
Handled = TypeVar("Handled")
_VERSION = "mcp-protocol-version"
TOOLS = 1_000
"""Tools whose schemas are remembered."""
_UNUSUAL = frozenset({"origin", "transfer-encoding", "content-encoding", "expect", "upgrade", "last-event-id"})
_EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(eq=False)
class _ModernContext:
    """The dispatch context of one request of protocol 2026, as the SDK's handler wants it."""

    request_id: str | int
    transport: TransportContext
    message_metadata: ServerMessageMetadata
    answer: PostedAnswer
    progress_token: str | int | None
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002  as in the SDK
        opts: CallOptions | None = None,  # noqa: ARG002  as in the SDK
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002  as in the SDK
    ) -> None:
        said = {"jsonrpc": "2.0", "method": method}
        await self.answer.event(_json(said if params is None else {**said, "params": dict(params)}))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is not None:
            await self.notify("notifications/progress", progress_said(self.progress_token, progress, total, message))


class DirectPosts:
    """An ASGI application before `app`, for a server with the given hosts. Make it before the server runs.

    With `login`, a request needs a token that has all `scopes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        server: Server[Any],
        *,
        hosts: Iterable[str],
        login: BearerAuthBackend | None,
        scopes: Iterable[str] = (),
        more: Headers = (),
        listed_from: ListedFrom | None = None,
    ) -> None:
        """Keep `more`: headers that the layers in between add to every answer. `listed_from`: see `ListPages`."""
        self._app = app
        self._server = server
        self._hosts = Addresses(hosts)
        self._login = login
        self._scopes = frozenset(scopes)
        self._marked = _MarkedTools(server)
        self._more = list(more)
        self._pages = CallersPages(listed_from)
        self._sessions = DirectSessions(server, self._more, self._pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, if it is one for here; pass on any other."""
        headers = self._plain_head(scope)
        if headers is None:
            await self._app(scope, receive, send)
        elif self._login is None:
            await self._known(scope, scope, headers, receive, send)
        else:
            found = await self._login.authenticate(HTTPConnection(scope))
            if found is None or not self._scopes <= set(found[0].scopes):
                await self._app(scope, receive, send)
                return
            mark = auth_context_var.set(found[1])
            try:
                await self._known(scope, {**scope, "auth": found[0], "user": found[1]}, headers, receive, send)
            finally:
                auth_context_var.reset(mark)

    def _plain_head(self, scope: Scope) -> dict[str, str] | None:
        """Return the headers of a POST in its plain form that may be sent from where it comes; `None` for any other."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            return None
        if scope.get("query_string") or scope.get("root_path"):
            return None
        pairs = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        if len(headers) != len(pairs) or headers.get("host", "") not in self._hosts or _UNUSUAL & headers.keys():
            return None
        length = headers.get("content-length", "")
        if headers.get("content-type") != "application/json" or not (length.isascii() and length.isdigit()):
            return None
        if len(length) > 9 or int(length) > LINE_BYTES or not _takes_both(headers.get("accept", "")):
            return None
        version = headers.get(_VERSION)
        modern = version in MODERN_PROTOCOL_VERSIONS
        in_session = SESSION in headers and (version is None or version in HANDSHAKE_PROTOCOL_VERSIONS)
        return headers if modern or in_session else None

    async def _known(self, scope: Scope, known: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Handle a request whose sender is known, as `known` says, or pass it on as it came."""
        body, again = await _body(receive)
        if body is not None:
            if headers.get(_VERSION) in MODERN_PROTOCOL_VERSIONS:
                handled = await self._modern(known, headers, body, again, send)
            else:
                handled = await self._sessions.handle(known, headers[SESSION], body, again, send)
            if handled:
                return
        await self._app(scope, again.from_the_start(), send)

    async def _modern(self, scope: Scope, headers: dict[str, str], body: bytes, receive: Receive, send: Send) -> bool:
        """Handle a request of protocol 2026, if it is plain and nothing is wrong with it; return whether."""
        message = plain_request(body, json.loads)
        # private: the manager has entered it for all requests
        if message is None or not has_all(self._server.session_manager, ("_lifespan_state",)):
            return False
        route = classify_inbound_request(message, headers=headers)
        if not isinstance(route, InboundModernRoute) or self._marked.has(message, headers):
            return False
        request = Request(scope, receive)
        answer = PostedAnswer(send, [*_EVENTS, *self._more], stream_after_s=PING_S)
        context = _ModernContext(
            request_id=message["id"],
            transport=TransportContext(kind="streamable-http", can_send_request=False, headers=request.headers),
            message_metadata=ServerMessageMetadata(request_context=request),
            answer=answer,
            progress_token=progress_token_from_params(message["params"]),
        )
        connection = Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities)
        state = self._server.session_manager._lifespan_state
        runner = ServerRunner(self._server, connection, state)
        place = self._pages.place(runner, context, message)
        page = place.page if place is not None else None
        if page is not None:
            await self._whole(answer, 200, _answer(message["id"], b"result", page))
            return True
        handling = _Handling()
        async with answer.watched(receive, handling.cancel):
            handled = await handling.run(self._handled(runner, context, message))
        if handled is None:
            return True  # the client has gone
        status, member, made = handled
        if place is not None and member == b"result":
            ListPages.keep(place.pages, place.key, made)
        data = _answer(message["id"], member, made)
        if answer.begun:
            await answer.last_event(data)
        else:
            await self._whole(answer, status, data)
        return True

    @staticmethod
    async def _handled(
        runner: ServerRunner[Any], context: _ModernContext, message: Mapping[str, Any]
    ) -> tuple[int, bytes, bytes]:
        """Return the status of an answer, whether it is a result, and the answer as JSON."""
        try:
            return 200, b"result", _json(await answer_of(runner, context, message["method"], message["params"]))
        except Exception as error:  # noqa: BLE001  the edge of the program: the client gets an error of the protocol
            found = modern_error_data(error)
            made = _json(found.model_dump(mode="json", by_alias=True, exclude_none=True))
            return ERROR_CODE_HTTP_STATUS.get(found.code, 200), b"error", made
        finally:
            stack = runner.connection.exit_stack
            if getattr(stack, "_exit_callbacks", True):  # private; mostly there is nothing to close
                await aclose_shielded(runner.connection)

    async def _whole(self, answer: PostedAnswer, status: int, data: bytes) -> None:
        length = str(len(data)).encode()
        kind = (b"content-type", b"application/json")
        await answer.whole(status, [(b"content-length", length), kind, *self._more], data)


class _Handling:
    """A request that is carried out until its client goes away. A scope of anyio would cost several times as much."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._gone = False

    async def run(self, work: Coroutine[Any, Any, Handled]) -> Handled | None:
        """Return what the work returns; `None` where it was cancelled."""
        self._task = task = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            if not self._gone or task is None or task.uncancel():
                raise  # the server ends
            return None
        finally:
            self._task = None

    def cancel(self) -> None:
        """Cancel the work, unless it has ended."""
        if self._task is not None and not self._gone:
            self._gone = True
            self._task.cancel()


class _MarkedTools:
    """Which tools want arguments in headers too. The SDK compares the two."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._seen: dict[str, tuple[object, bool]] = {}

    def has(self, message: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Return whether a request must be compared with its headers, or may have to be."""
        if message["method"] != "tools/call":
            return False
        if any(name.startswith("mcp-param-") for name in headers):
            return True
        name, lookup = message["params"].get("name"), self._server.get_tool_input_schema
        if lookup is None or not isinstance(name, str):
            return True
        schema = lookup(name)
        if schema is None:
            return False
        known, marked = self._seen.get(name, (None, False))
        if known is not schema:
            marked = "x-mcp-header" in json.dumps(schema)
            if len(self._seen) >= TOOLS:
                self._seen.clear()
            self._seen[name] = (schema, marked)
        return marked


class _Again:
    """The receiving side of a request that was read: what came can be had again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._came: list[Message] = []
        self._at = 0

    async def __call__(self) -> Message:
        """Return what comes next."""
        if self._at < len(self._came):
            self._at += 1
            return self._came[self._at - 1]
        return await self._receive()

    async def read(self) -> Message:
        """Return what comes next, and keep it."""
        message = await self._receive()
        self._came.append(message)
        self._at += 1
        return message

    def from_the_start(self) -> _Again:
        """Begin again with what was kept."""
        self._at = 0
        return self


async def _body(receive: Receive) -> tuple[bytes | None, _Again]:
    """Return the body, `None` if the client went away or it has more bytes than was said."""
    again, body = _Again(receive), b""
    while True:
        message = await again.read()
        if message["type"] != "http.request":
            return None, again
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body, again
        if len(body) > LINE_BYTES:
            return None, again


def _takes_both(accept: str) -> bool:
    """Return whether a client takes JSON and events, as it must, in the usual words."""
    kinds = {kind.partition(";")[0].strip().lower() for kind in accept.split(",")}
    return {"application/json", "text/event-stream"} <= kinds


def _answer(number: str | int, member: bytes, value: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (_json(number), member, value)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
