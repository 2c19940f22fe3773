"""Handles plain calls and lists in the sessions of 2025 clients over HTTP, past the session's streams and tasks.

The session is the SDK's: it opens and ends it, and handles whatever is not plain. What a request says or asks before
its answer travels over the session's dispatcher, as always, and from there to the request's own stream.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as t
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, authorization_context
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner
from mcp.server.streamable_http import REQUEST_CANCELLED, REQUEST_STREAM_BUFFER_SIZE, EventMessage
from mcp.shared.dispatcher import CallOptions, coerce_request_id
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import from_json
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from lg_policy.wire.direct_requests import METHODS, plain_request, progress_said, to_wire, wire_error
from lg_policy.wire.plain_calls import CallersPages, ListPages, answer_of
from lg_policy.wire.posted_answer import WATCH_S, PostedAnswer
from lg_policy.wire.sdk_names import CONNECTION, DISPATCHER, MANAGER, TRANSPORT, has_all

SESSION = "mcp-session-id"
_EVENTS = [
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"content-type", b"text/event-stream"),
]


@dataclass(eq=False)
class _Session:
    """What is known of one session. The names that the SDK keeps private are used here alone."""

    connection: Connection
    runner: ServerRunner[Any]
    transport: Any
    """The SDK's transport of this session."""
    running: set[_SessionContext] = field(default_factory=set)

    @property
    def dispatcher(self) -> Any:
        return self.connection.outbound

    def takes(self, number: str | int) -> bool:
        """Return whether the session is open for a request with this number."""
        idle = self.transport.idle_scope
        if self.transport.is_terminated or self.transport._event_store is not None:
            return False
        if idle is not None and idle.cancel_called:
            return False
        return (
            str(number) not in self.transport._request_streams
            and coerce_request_id(number) not in self.dispatcher._in_flight
        )

    def begin(self, context: _SessionContext) -> None:
        """Count a request: its client may cancel it, and the session does not expire meanwhile."""
        self.running.add(context)
        self.dispatcher._in_flight[coerce_request_id(context.request_id)] = context
        self.transport._requests_in_flight += 1
        if self.transport.idle_scope is not None:
            self.transport.idle_scope.deadline = math.inf

    def handled(self, context: _SessionContext) -> None:
        """Note that a request can no longer be cancelled."""
        key = coerce_request_id(context.request_id)
        if self.dispatcher._in_flight.get(key) is context:
            del self.dispatcher._in_flight[key]

    def end(self, context: _SessionContext) -> None:
        """Note that a request is over."""
        self.handled(context)
        self.running.discard(context)
        transport = self.transport
        transport._requests_in_flight -= 1
        if not transport._requests_in_flight and transport.idle_scope is not None:
            transport.idle_scope.deadline = anyio.current_time() + transport._idle_timeout


@dataclass(eq=False)
class _SessionContext:
    """The dispatch context of one request in a session, as the SDK's handler wants it."""

    request_id: str | int
    message_metadata: ServerMessageMetadata
    session: _Session
    answer: PostedAnswer
    progress_token: str | int | None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)
    over: bool = False
    forwarding: asyncio.Task[None] | None = None

    @property
    def dctx(self) -> _SessionContext:
        """The context by the name that the dispatcher has for it."""
        return self

    @property
    def transport(self) -> TransportContext:
        return TransportContext(kind="jsonrpc", can_send_request=True)

    @property
    def can_send_request(self) -> bool:
        return not self.over

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if self.over:
            raise NoBackChannelError(method)
        self._open()
        dispatcher = self.session.dispatcher
        found: dict[str, Any] = await dispatcher.send_raw_request(
            method, params, opts, _related_request_id=self.request_id
        )
        return found

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if not self.over:
            self._open()
            await self.session.dispatcher.notify(method, params, opts, _related_request_id=self.request_id)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is not None:
            await self.notify("notifications/progress", progress_said(self.progress_token, progress, total, message))

    async def finish(self, member: str, value: Any) -> bytes | None:
        """Send the answer, after what was said before it; return it as JSON if it went alone."""
        if self.forwarding is None:
            data = to_wire(value)
            await self.finish_with(member, data)
            return data
        if member == "result":
            await self.session.dispatcher._write_result(self.request_id, value)
        else:
            await self.session.dispatcher._write_error(self.request_id, t.ErrorData.model_validate(value))
        await self.forwarding
        return None

    async def finish_with(self, member: str, data: bytes) -> None:
        """Send the answer, which is JSON. Nothing was said before it."""
        await self.answer.last_event(
            b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (to_wire(self.request_id), member.encode(), data)
        )

    def _open(self) -> None:
        """Let the session's transport route to this request's stream what belongs to it."""
        if self.forwarding is None:
            streams = anyio.create_memory_object_stream[EventMessage](REQUEST_STREAM_BUFFER_SIZE)
            self.session.transport._request_streams[str(self.request_id)] = streams
            self.forwarding = asyncio.create_task(self._forward(streams[1]))

    async def _forward(self, messages: Any) -> None:
        last: bytes | None = None
        try:
            async for event in messages:
                data = event.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                if isinstance(event.message, t.JSONRPCResponse | t.JSONRPCError):
                    last = data
                    break
                await self.answer.event(data)
        except anyio.ClosedResourceError:
            last = None  # the session was ended
        finally:
            await self.session.transport._clean_up_memory_streams(str(self.request_id))
        await self.answer.last_event(last)


class DirectSessions:
    """The open sessions of a server whose clients have been heard."""

    def __init__(self, server: Server[Any], more: list[tuple[bytes, bytes]], pages: CallersPages) -> None:
        """Keep `more`: headers of every answer."""
        self._server = server
        self._pages = pages
        self._more = more
        self._sessions: dict[str, _Session] = {}
        server.middleware.append(self._learn)

    async def handle(self, scope: Scope, name: str, body: bytes, receive: Receive, send: Send) -> bool:
        """Handle a request in a session, if it is plain and nothing is wrong with it; return whether."""
        session = self._sessions.get(name)
        if session is None or not self._owned(name, scope):
            return False
        message = plain_request(body, from_json)
        if (
            message is None
            or {t.PROTOCOL_VERSION_META_KEY, "progressToken"} & message["params"].get("_meta", {}).keys()
        ):
            return False
        if not session.takes(message["id"]):
            return False
        headers = [*_EVENTS, (SESSION.encode(), name.encode("latin-1")), (b"x-accel-buffering", b"no"), *self._more]
        answer = PostedAnswer(send, headers, stream_after_s=WATCH_S)
        metadata = ServerMessageMetadata(request_context=Request(scope, receive), can_send_request=True)
        token = progress_token_from_params(message["params"])
        context = _SessionContext(message["id"], metadata, session, answer, token)
        session.begin(context)
        try:
            place = self._pages.place(session.runner, context, message)
            if place is not None and place.page is not None:
                await context.finish_with("result", place.page)
                return True
            async with answer.watched(receive, _goes_on):
                made = await _handled(context, message["method"], message["params"])
            if made is None:  # the session has ended
                if context.forwarding is not None:
                    context.forwarding.cancel()
                await answer.last_event(None)
            else:
                data = await context.finish(*made)
                if place is not None and made[0] == "result" and data is not None:
                    ListPages.keep(place.pages, place.key, data)
        finally:
            session.end(context)
        return True

    def _owned(self, name: str, scope: Scope) -> bool:
        """Return whether the session exists and this request comes from whom it was opened by."""
        manager, user = self._server.session_manager, scope.get("user")
        requestor = authorization_context(user) if isinstance(user, AuthenticatedUser) else None
        return name in manager._server_instances and manager._session_owners.get(name) == requestor

    async def _learn(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Remember a session, once a request in it has passed the SDK's checks."""
        result = await call_next(ctx)
        request = ctx.request
        if request is None or ctx.method not in METHODS or ctx.request_id is None:
            return result
        name, manager = request.headers.get(SESSION), self._server.session_manager
        if not has_all(manager, MANAGER) or not has_all(ctx.session, ("_connection",)):
            return result
        transport = manager._server_instances.get(name)
        if transport is None or name in self._sessions or ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return result
        connection = ctx.session._connection
        if not (
            has_all(transport, TRANSPORT)
            and has_all(connection, CONNECTION)
            and has_all(connection.outbound, DISPATCHER)
        ):
            return result
        runner = ServerRunner(self._server, connection, ctx.lifespan_context)
        session = self._sessions[name] = _Session(connection, runner, transport)
        connection.exit_stack.callback(self._ended, name, session)
        return result

    def _ended(self, name: str, session: _Session) -> None:
        self._sessions.pop(name, None)
        for context in session.running:
            context.scope.cancel()


async def _handled(context: _SessionContext, method: str, params: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Carry out a request; return its answer, `None` if its session has ended."""
    made: tuple[str, Any] | None = None
    with context.scope:
        try:
            made = "result", await answer_of(context.session.runner, context, method, params)
        except Exception as error:  # noqa: BLE001  the edge of the program: the client gets an error of the protocol
            made = "error", wire_error(error, modern=False)
        finally:
            context.over = True
            context.session.handled(context)
    if context.cancel_requested.is_set():
        return "error", {"code": REQUEST_CANCELLED, "message": "Request cancelled"}
    return made


def _goes_on() -> None:
    """Do nothing: in protocol 2025, a client that has gone has not cancelled its request."""
