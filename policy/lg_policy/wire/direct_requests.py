"""Handles the requests that a stdio client sends most without the SDK's dispatcher: calls and lists of tools.

The dispatcher passes a request through models, streams and tasks, which costs more than most calls. Here a line is read
once and goes to the SDK's own request handler at once: the same middleware, checks and answers, byte for byte. The SDK
handles everything else, and the first of these requests: it decides which revision the connection speaks. A line in any
other than the plain form is the SDK's too.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import anyio
import mcp_types as t
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner, modern_error_data
from mcp.shared.dispatcher import CallOptions, coerce_request_id
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data, progress_token_from_params
from mcp.shared.transport_context import TransportContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import PydanticSerializationError, from_json, to_json

from lg_policy.wire.plain_calls import LIST, ListedFrom, ListPages, answer_of, says_nothing_else
from lg_policy.wire.sdk_names import has_all

log = logging.getLogger(__name__)

METHODS = frozenset({"tools/call", "tools/list"})
LINE_BYTES = 100_000
"""A longer line is left to the SDK."""
NESTING = 100
"""Opening brackets in a line; one with more is left to the SDK, which limits the depth."""
TASK = "DirectRequests"
"""The name of the tasks that answer requests."""
LAST_WORD_S = 1.0
"""How long an answer at the end of the connection may take to be written."""
_MEMBERS = {"jsonrpc", "id", "method", "params"}
_PARAMS = {"name", "arguments", "cursor", "_meta"}
_ENVELOPE = (t.PROTOCOL_VERSION_META_KEY, t.CLIENT_INFO_META_KEY, t.CLIENT_CAPABILITIES_META_KEY)
Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the SDK found out about this client with a request that it handled."""

    connection: Connection
    runner: ServerRunner[Any]
    envelope: tuple[Any, ...] | None
    """What a 2026 client repeats in the `_meta` of each request; `None` for a 2025 client."""


@dataclass(eq=False)
class _Context:
    """The dispatch context of one request, as the SDK's handler wants it."""

    request_id: str | int
    progress_token: str | int | None
    connection: Connection
    modern: bool
    message_metadata: None = None
    over: bool = False
    cancelled: bool = False
    """Whether the client has cancelled the request."""
    task: asyncio.Task[None] | None = None

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        """An event that is set when the client cancels. Made only if somebody asks for it."""
        event = anyio.Event()
        if self.cancelled:
            event.set()
        return event

    def cancel(self) -> None:
        """End the request, which its client has cancelled."""
        self.cancelled = True
        if "cancel_requested" in vars(self):
            self.cancel_requested.set()
        if self.task is not None:
            self.task.cancel()

    @property
    def transport(self) -> TransportContext:
        return TransportContext(kind="jsonrpc", can_send_request=not self.modern)

    @property
    def can_send_request(self) -> bool:
        return not self.modern and not self.over

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        if not self.can_send_request:
            raise NoBackChannelError(method)
        return await self.connection.outbound.send_raw_request(method, params, opts)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if not self.over:
            await self.connection.outbound.notify(method, params, opts)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self.progress_token is None:
            return
        await self.notify("notifications/progress", progress_said(self.progress_token, progress, total, message))


class DirectRequests:
    """The requests of one stdio connection to a server. Make it before the server runs.

    `listed_from` returns what the server's list of tools is made from. While those are the same objects, a page of the
    list is made once. Without it, every list is made anew.
    """

    def __init__(self, server: Server[Any], listed_from: ListedFrom | None = None) -> None:
        self._server = server
        self._pages = ListPages(listed_from)
        self._known: _Known | None = None
        self._in_flight: dict[str | int, _Context] = {}
        self._tasks: set[asyncio.Task[None]] | None = None
        self._send: Send | None = None
        server.middleware.append(self._learn)
        # The requests end before the server's own resources do.
        self._outer = server.lifespan
        server.lifespan = self._lifespan

    def send_with(self, send: Send) -> None:
        """Say how a line is written to the client."""
        self._send = send

    def take(self, line: bytes) -> bool:
        """Handle a line, if it is one for here; return whether it is."""
        if self._known is None or self._tasks is None or len(line) > LINE_BYTES:
            return False
        if b'"notifications/cancelled"' in line:
            return self._cancelled(line)
        request = plain_request(line, from_json)
        if request is None or not _same_client(request["params"], self._known):
            return False
        number = request["id"]
        if coerce_request_id(number) in self._in_flight:
            return False
        context = _Context(
            request_id=number,
            progress_token=progress_token_from_params(request["params"]),
            connection=self._known.connection,
            modern=self._known.envelope is not None,
        )
        page = self._page(request)
        if page is not None:
            self._start(self._tasks, self._write(number, b"result", page)).add_done_callback(self._tasks.discard)
            return True
        self._in_flight[coerce_request_id(number)] = context
        answer = self._answer(context, request["method"], request["params"], self._known.runner)
        context.task = self._start(self._tasks, answer)
        return True

    @staticmethod
    def _start(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do some work beside all other. A task group would cost a small call a fiftieth of its time."""
        task = asyncio.get_running_loop().create_task(work, name=TASK)
        tasks.add(task)
        return task

    def _forget(self, context: _Context) -> None:
        """Note that a request can no longer be cancelled."""
        key = coerce_request_id(context.request_id)
        if self._in_flight.get(key) is context:
            del self._in_flight[key]

    def _ended(self, context: _Context, task: asyncio.Task[None] | None) -> None:
        """Note that a task has ended. It says so itself: a callback would take a turn of the event loop."""
        self._forget(context)
        if self._tasks is not None and task is not None:
            self._tasks.discard(task)

    @asynccontextmanager
    async def _lifespan(self, server: Server[Any]) -> AsyncIterator[Any]:
        async with self._outer(server) as state:
            tasks = self._tasks = set()
            try:
                yield state
            finally:
                self._tasks = None
                for task in tasks:
                    task.cancel()
                if tasks:
                    with anyio.CancelScope(shield=True):
                        await asyncio.wait(tuple(tasks))

    async def _learn(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Remember the client, once a request of it has passed the SDK's checks."""
        result = await call_next(ctx)
        # One without a number is a notification, whose connection the SDK makes up.
        if ctx.method in METHODS and ctx.request_id is not None and ctx.request_id not in self._in_flight:
            meta, modern = ctx.meta or {}, ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
            if not has_all(ctx.session, ("_connection",)):
                return result
            connection = ctx.session._connection  # private: nothing public leads from a request to its connection
            self._known = _Known(
                connection=connection,
                runner=ServerRunner(self._server, connection, ctx.lifespan_context),
                envelope=tuple(meta.get(key) for key in _ENVELOPE) if modern else None,
            )
        return result

    def _cancelled(self, line: bytes) -> bool:
        try:
            message = from_json(line)
        except ValueError:
            return False
        params = message.get("params") if isinstance(message, dict) else None
        number = params.get("requestId") if isinstance(params, dict) else None
        if not isinstance(number, str | int) or message.get("method") != "notifications/cancelled":
            return False
        context = self._in_flight.get(coerce_request_id(number))
        if context is None:
            return False
        context.cancel()
        if context.task is not None:  # one that has not begun yet ends without a word
            context.task.add_done_callback(partial(self._ended, context))
        return True

    def _page(self, request: Mapping[str, Any]) -> bytes | None:
        """Return a page of the list that was made before, if nothing has changed since."""
        if request["method"] != LIST:
            return None
        if not says_nothing_else(request["params"].get("_meta", {}), modern=_modern(self._known)):
            return None  # the handler checks it
        pages, cursor = self._pages.now(), request["params"].get("cursor")
        return pages.get(cursor) if pages is not None and (cursor is None or isinstance(cursor, str)) else None

    async def _answer(
        self, context: _Context, method: str, params: Mapping[str, Any], runner: ServerRunner[Any]
    ) -> None:
        """Handle one request and write its answer. A request that its client cancelled gets none."""
        answer: tuple[bytes, bytes] | None = None
        pages = self._pages.now() if method == LIST else None
        try:
            try:
                answer = b"result", to_wire(await answer_of(runner, context, method, params))
            except Exception as error:  # noqa: BLE001  the edge of the program: the client gets an error of the protocol
                answer = b"error", to_wire(wire_error(error, modern=context.modern))
            finally:
                context.over = True
                self._forget(context)
            if method == LIST and answer[0] == b"result":
                self._pages.keep(pages, params.get("cursor"), answer[1])
            if not context.cancelled:
                await self._write(context.request_id, *answer)
        except asyncio.CancelledError:
            # The client has cancelled the request, or the connection ends: whoever reads learns that no answer comes.
            if answer is None and not context.cancelled:
                closed = to_wire({"code": t.CONNECTION_CLOSED, "message": "Connection closed"})
                with anyio.move_on_after(LAST_WORD_S, shield=True):
                    await self._write(context.request_id, b"error", closed)
            raise
        finally:
            self._ended(context, context.task)

    async def _write(self, number: str | int, member: bytes, value: bytes) -> None:
        if self._send is not None:
            await self._send(_answer_line(number, member, value))


def plain_request(line: bytes, read: Callable[[bytes], Any]) -> dict[str, Any] | None:
    """Return a call or list in its plain form; `None` for any other message. `read` reads JSON."""
    if b'"tools/' not in line or line.count(b"{") + line.count(b"[") > NESTING:
        return None
    try:
        request = read(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict) or not request.keys() <= _MEMBERS or request.get("jsonrpc") != "2.0":
        return None
    number, params = request.get("id"), request.setdefault("params", {})
    if request.get("method") not in METHODS or not isinstance(number, str | int) or isinstance(number, bool):
        return None
    if not isinstance(params, dict) or not params.keys() <= _PARAMS or not isinstance(params.get("_meta", {}), dict):
        return None
    return request


def _same_client(params: Mapping[str, Any], known: _Known) -> bool:
    """Return whether a request says of its client what the SDK has checked before."""
    meta = params.get("_meta", {})
    if known.envelope is None:
        return t.PROTOCOL_VERSION_META_KEY not in meta
    return tuple(meta.get(key) for key in _ENVELOPE) == known.envelope


def _modern(known: _Known | None) -> bool:
    return known is not None and known.envelope is not None


def progress_said(token: str | int, progress: float, total: float | None, message: str | None) -> dict[str, Any]:
    """Return the parameters of a report of progress."""
    said = {"progressToken": token, "progress": progress, "total": total, "message": message}
    return {name: value for name, value in said.items() if value is not None}


def wire_error(error: Exception, *, modern: bool) -> dict[str, Any]:
    """Return the error of the protocol that a failed request is answered with."""
    if modern:
        found = modern_error_data(error)
    else:
        known = handler_exception_to_error_data(error)
        if known is None:
            log.error("a request failed", exc_info=error)
        found = known or t.ErrorData(code=0, message=str(error))
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _answer_line(number: str | int, member: bytes, value: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (to_wire(number), member, value)


def to_wire(value: Any) -> bytes:
    """Return a value as JSON."""
    try:
        return to_json(value)
    except PydanticSerializationError:  # half a surrogate pair, which UTF-8 cannot say
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
