"""Sends tool calls to a server over HTTP without the SDK's session, which would cost several times as much.

One call is one POST. The SDK's session has opened the connection and handles everything else: lists, notifications,
rounds of input. What a server asks on the stream of a direct call goes to the session too, with the call's context, so
a question finds its call.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import httpx2
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstream_login.challenges import refusal_of
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.upstream_auth import UpstreamAuth
from lg_gateway.upstreams.bounded_http import LEFT_TO_THE_SDK, NUMBER, BoundedTransport, RelayedEvents, beginning
from lg_gateway.upstreams.direct_calls import FIRST_NUMBER, NOTICE_S, json_bytes, outcome
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Answer, Arrival, Reply

log = logging.getLogger(__name__)

RESUMES_MAX = 2
"""Failures to continue a broken stream in a row, after which its call is lost."""
RESUME_MS = 1000
"""How long to wait before that, if the server does not say."""
_NOT_TAKEN = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.LocalProtocolError)
_REFUSED = (401, 403)
_OWN_HEADERS = (b"content-length", b"last-event-id")
_PER_CALL = (b"mcp-method", b"mcp-name", b"mcp-protocol-version")
_ARGUMENT = b"mcp-param-"
_LOGIN = b"authorization"
_SESSION = b"mcp-session-id"
ToSession = Callable[[t.JSONRPCMessage], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class NotDirect(Exception):
    """This server's answers are for the SDK, which has to send the call. Nothing was done with it."""


class DirectHttpCalls:
    """The way to one connected server. `client` is the session that was opened with it."""

    def __init__(
        self,
        spec: ServerSpec,
        transport: BoundedTransport,
        timeout: httpx2.Timeout,
        relay: Relay,
        client: Client,
        lost: anyio.Event,
        auth: UpstreamAuth | None,
        to_session: ToSession,
    ) -> None:
        """Keep `lost`, which is set when the server cannot be reached: the connection is made anew then."""
        self._url = httpx2.URL(str(spec.url))
        self._transport = transport
        self._extensions = {"timeout": timeout.as_dict()}
        self._relay = relay
        self._client = client
        self._lost = lost
        self._auth = auth
        self._to_session = to_session
        self._numbers = itertools.count(FIRST_NUMBER)
        self._modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._headers = [
            (name, value)
            for name, value in transport.headers
            if name.lower() not in (*_OWN_HEADERS, *_PER_CALL)
            and not name.lower().startswith(_ARGUMENT)
            and not (auth is not None and name.lower() == _LOGIN)
        ]
        self._in_session = any(name.lower() == _SESSION for name, _ in self._headers)
        self.usable = bool(transport.headers) and not self._url.userinfo
        """Whether calls may go this way. With a login in the address, the SDK's client makes the header of it."""

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], reply: Reply, timeout_s: float | None
    ) -> Answer | None:
        """Send one call and wait for its answer. Returns and raises what `DirectCalls.call` does, and `NotDirect`."""
        number = next(self._numbers)
        data: dict[str, Any] = {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        token = {"progressToken": number} if reply.progress is not None else {}
        if meta or token:
            data["params"]["_meta"] = {**meta, **token}
        options: dict[str, Any] = {}
        self._client.session._stamp(data, options)  # type: ignore[arg-type]  # private: nothing else says what it stamps
        body = json_bytes({"jsonrpc": "2.0", "id": number, **data})
        headers = [*self._headers, *((name.encode(), value.encode()) for name, value in options["headers"].items())]
        reply.ended = Arrival(asyncio.get_running_loop())  # the SDK knows nothing of it
        try:
            with anyio.move_on_after(timeout_s) as clock:
                await self._exchange(number, body, headers, reply)
            if clock.cancelled_caught:
                await self._cancel(number, f"timed out after {timeout_s}s")
                raise MCPError(t.REQUEST_TIMEOUT, "Request 'tools/call' timed out")
        except anyio.get_cancelled_exc_class():
            await self._cancel(number, "caller cancelled")
            raise
        return outcome(reply)

    async def _exchange(self, number: int, body: bytes, headers: Headers, reply: Reply) -> None:
        """Send a call and read on until its answer is in `reply`."""
        response = await self._sent(number, body, headers, reply)
        try:
            if 300 <= response.status_code < 400:
                self.usable = False
                self._relay.forget(number)
                raise NotDirect
            if response.status_code in LEFT_TO_THE_SDK:
                self._relay.forget(number)
                raise await self._refusal(response)
            if isinstance(response.stream, RelayedEvents) and response.status_code < 300:
                await self._follow(number, response.stream, headers)
            else:
                _check_refused(response.status_code, await response.aread(), reply)
        finally:
            await response.aclose()

    async def _sent(self, number: int, body: bytes, headers: Headers, reply: Reply) -> httpx2.Response:
        """Send a call and return its answer. Raises `MCPError` where it was not taken, or may have been."""
        try:
            login = await self._auth.header() if self._auth is not None else ""
            self._relay.sent_directly(number, "tools/call", reply)
            response = await self._request("POST", number, body, headers, login)
            if response.status_code in _REFUSED and self._auth is not None:
                refusal = refusal_of(response.status_code, response.headers.get("www-authenticate", ""))
                again = await self._auth.again(login, refusal)
                if again:  # the server did nothing with it
                    await response.aclose()
                    response = await self._request("POST", number, body, headers, again)
        except httpx2.PoolTimeout as error:  # the other calls are well: the connection stays
            self._relay.forget(number)
            reply.left = False
            raise MCPError(t.REQUEST_TIMEOUT, "Request 'tools/call' timed out") from error
        except (httpx2.TransportError, LoginFailed) as error:
            log.debug("a call could not be sent, or its answer did not come: %r", error)
            self._relay.forget(number)
            if isinstance(error, (*_NOT_TAKEN, LoginFailed)):
                reply.request_id = None
            self._lost.set()
            raise MCPError(t.CONNECTION_CLOSED, "Connection closed") from error
        return response

    async def _request(self, method: str, number: int, body: bytes, headers: Headers, login: str) -> httpx2.Response:
        made = [*headers, (b"Authorization", login.encode())] if login else headers
        extensions = {**self._extensions, NUMBER: number}
        request = httpx2.Request(method, self._url, headers=made, content=body, extensions=extensions)
        return await self._transport.handle_async_request(request)

    async def _follow(self, number: int, events: RelayedEvents, headers: Headers) -> None:
        """Read a stream of events up to the answer. What else is on it goes to the session."""
        try:
            while True:
                said = await events.next_messages(number)
                for message in said or ():
                    await self._to_session(message)
                if not self._relay.awaits(number):
                    events.leave()
                    return
                if said is None:
                    events = await self._resumed(number, events, headers)
        finally:
            await events.aclose()  # a continued stream is nobody else's to close

    async def _resumed(self, number: int, ended: RelayedEvents, headers: Headers) -> RelayedEvents:
        """Ask for the rest of a stream that ended before its answer. Raises `MCPError` if there is none to be had."""
        await ended.aclose()
        headers = [*headers, (b"Last-Event-ID", ended.last_id.encode())]
        for _ in range(RESUMES_MAX if ended.last_id else 0):
            await anyio.sleep((RESUME_MS if ended.retry_ms is None else ended.retry_ms) / 1000)
            try:
                login = await self._auth.header() if self._auth is not None else ""
                response = await self._request("GET", number, b"", headers, login)
            except (httpx2.TransportError, LoginFailed) as error:
                log.debug("a stream could not be continued: %r", error)
                continue
            events = response.stream
            if response.status_code == httpx2.codes.OK and isinstance(events, RelayedEvents):
                events.last_id = ended.last_id
                return events
            await response.aclose()
        self._relay.forget(number)
        raise MCPError(t.CONNECTION_CLOSED, "the stream ended without an answer")

    async def _refusal(self, response: httpx2.Response) -> MCPError:
        """Return the error that the SDK's client makes of a refusal: the one in the body, or one for the status."""
        body = await beginning(response)
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            try:
                found = t.jsonrpc_message_adapter.validate_json(body, by_name=False)
            except ValidationError:
                log.debug("a refusal with a body that is no error of JSON-RPC")
            else:
                if isinstance(found, t.JSONRPCError):
                    return MCPError.from_error_data(found.error)
        if response.status_code != httpx2.codes.NOT_FOUND:
            return MCPError(t.INTERNAL_ERROR, "Server returned an error response")
        if self._in_session:
            return MCPError(t.INVALID_REQUEST, "Session terminated")
        return MCPError(t.METHOD_NOT_FOUND, "Not Found")

    async def _cancel(self, number: int, why: str) -> None:
        """Give a call up. Its connection is closed; a server of protocol 2025 is told as well, for that is no sign."""
        awaited = self._relay.awaits(number)
        self._relay.give_up(number)
        if awaited and not self._modern:
            params = t.CancelledNotificationParams(request_id=number, reason=why)
            with anyio.move_on_after(NOTICE_S, shield=True):
                await self._client.session.send_notification(t.CancelledNotification(params=params))


def _check_refused(status: int, body: bytes, reply: Reply) -> None:
    """Make an HTTP error the call's error, where the relay has not found one in it."""
    if status < 400 or reply.error is not None or reply.unreadable:
        return
    reply.result = None
    reply.error = t.JSONRPCError.model_validate_json(body).error  # the transport made it
