"""Limits the length of HTTP answers from servers, and lets the relay read each one before the SDK does.

An endless answer ends its connection, not the gateway. If a proxy answers in place of the server (`503`, an HTML page),
its text becomes the error of the request.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import mcp_types as t

from lg_gateway.upstream_login.http_refusals import HttpRefusals
from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES
from lg_gateway.upstreams.relay import Id, Relay
from lg_gateway.upstreams.wire_text import looks_like_a_message
from lg_policy.limits import cut_at_word

ERROR_BYTES = 64_000
"""Of a body that comes with an HTTP error."""
SHOWN_CHARACTERS = 300
# What these mean is decided elsewhere: a login, a session that is gone, a method that is not served.
LEFT_TO_THE_SDK = (401, 403, 404, 405)
_NO_ANSWER = (502, 504)
_SAME_REQUEST_ELSEWHERE = (307, 308)
NUMBER = "lg.number"
"""The extension of a request that says its number, so that its body need not be read again."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Passes requests on to `inner` and counts what comes back. `limit` is in bytes, of one message."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        limit: int = MESSAGE_BYTES,
        relay: Relay | None = None,
        refusals: HttpRefusals | None = None,
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._relay = relay
        self._refusals = refusals
        self.headers: list[tuple[bytes, bytes]] = []
        """Those of the last message that the SDK sent."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Reading its answer raises `ReadError` once a message of it is too long.

        Raises it at once for a compressed answer, whose length is not known before it is unpacked.
        """
        request.headers["Accept-Encoding"] = "identity"
        if request.method == "POST" and NUMBER not in request.extensions:
            self.headers = request.headers.raw
        response = await self._inner.handle_async_request(request)
        self._note_refusal(request, response)
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await response.aclose()
            return self._compressed(request)
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            return response
        kind = response.headers.get("content-type", "").strip().lower()
        events = kind.startswith("text/event-stream")
        bounded = _Bounded(response.stream, self._limit, events=events)
        response.stream = bounded
        if self._relay is None or request.method not in ("POST", "GET"):
            return response
        number = _request_id(request)
        if number is not None and 300 <= response.status_code < 400:
            return await self._moved(self._relay, response, number, request.url)
        if events:
            response.stream = RelayedEvents(bounded, self._relay, number)
        elif number is not None and response.status_code >= 400 and response.status_code not in LEFT_TO_THE_SDK:
            try:
                return await self._refused(self._relay, response, number)
            finally:
                await response.aclose()
        elif number is not None and 200 <= response.status_code < 300:
            response.stream = _RelayedBody(bounded, self._relay, number, _described(response))
            response.status_code = 200  # of one without a body, and of any kind: the relay says what is in it
            response.headers["content-type"] = "application/json"
        return response

    def _note_refusal(self, request: httpx2.Request, response: httpx2.Response) -> None:
        """Keep what the server says about a login that is missing, or that it does not accept."""
        refusals = self._refusals
        if refusals is None:
            return
        if response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            header = response.headers.get("www-authenticate", "")
            refusals.note(_request_id(request), response.status_code, header)
        elif refusals.last is not None:
            refusals.forget(_request_id(request))

    def _compressed(self, request: httpx2.Request) -> httpx2.Response:
        """Fail the request whose answer is compressed. What is no request has nobody to tell."""
        error = httpx2.ReadError("the answer is compressed, although the gateway did not ask for that")
        number = _request_id(request)
        if self._relay is None or number is None:
            raise error
        return httpx2.Response(
            httpx2.codes.OK,
            headers={"content-type": "application/json"},
            content=_json(self._relay.broken(number, _broken(error))),
        )

    async def _refused(self, relay: Relay, response: httpx2.Response, number: Id) -> httpx2.Response:
        """Turn an HTTP error into a JSON-RPC error: the one in its body, or one that quotes it."""
        body = await beginning(response)
        relay.refused_before_the_server(number)
        messages = await relay.received(body, number) if looks_like_a_message(body) else []
        answers: list[t.JSONRPCMessage] = [message for message in messages if isinstance(message, t.JSONRPCError)]
        if not answers:
            words = cut_at_word(" ".join(body.decode("utf-8", "replace").split()), SHOWN_CHARACTERS)
            reason = f"HTTP {response.status_code} {response.reason_phrase}".strip() + (f": {words}" if words else "")
            lost = reason if response.status_code in _NO_ANSWER else ""
            error = t.ErrorData(code=t.INTERNAL_ERROR, message=reason)
            answers = [relay.failed(number, error, lost=lost)]
        return httpx2.Response(
            response.status_code,
            headers={"content-type": "application/json"},
            content=_json(answers[0]),
            extensions={key: value for key, value in response.extensions.items() if key != "network_stream"},
        )

    async def _moved(self, relay: Relay, response: httpx2.Response, number: Id, url: httpx2.URL) -> httpx2.Response:
        """Fail a request that is not to be sent elsewhere as it is: a server that says so may have acted on it."""
        if response.status_code in _SAME_REQUEST_ELSEWHERE:
            return response
        await response.aclose()
        try:
            place = url.join(response.headers.get("location", ""))
            where = str(place.copy_with(userinfo=b"", query=None, fragment=None))
        except httpx2.InvalidURL:
            where = "an address that is none"
        why = f"HTTP {response.status_code}: Redirect to {cut_at_word(where, SHOWN_CHARACTERS)} not followed"
        error = t.ErrorData(code=t.INVALID_REQUEST, message=why)
        return httpx2.Response(
            httpx2.codes.OK,
            headers={"content-type": "application/json"},
            content=_json(relay.failed(number, error, lost=why)),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """Counts the bytes of an answer; of one that is a stream of events, those since the last empty line."""

    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, *, events: bool) -> None:
        self._inner = inner
        self._limit = limit
        self._events = events

        self._source: AsyncIterator[bytes] | None = None
        self._since = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._source is None:
            self._source = self._inner.__aiter__()
        data = await self._source.__anext__()
        end = max(data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")) if self._events else -1
        self._since = self._since + len(data) if end < 0 else len(data) - end
        if self._since > self._limit:
            raise httpx2.ReadError(f"a message of more than {self._limit} bytes")
        return data

    def leave(self) -> None:
        """End reading after the answer; the connection may be used again."""
        leave = getattr(self._inner, "leave", None)  # streams of other transports have none
        if leave is not None:
            leave()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _RelayedBody(httpx2.AsyncByteStream):
    """A body, as the relay has it: the one message that answers the request, whatever kind the server calls it."""

    def __init__(self, inner: httpx2.AsyncByteStream, relay: Relay, number: Id, described: str) -> None:
        self._inner = inner
        self._relay = relay
        self._number = number
        self._described = described

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = bytearray()
        try:
            async for data in self._inner:
                body += data
        except httpx2.TransportError as error:  # it costs this request, not all that use the connection's client
            yield _json(self._relay.broken(self._number, _broken(error)))
            return
        meant = b"jsonrpc" in body or body.lstrip().startswith((b"{", b"["))
        messages = await self._relay.received(bytes(body), self._number) if meant else []
        answers: list[t.JSONRPCMessage] = [
            message for message in messages if isinstance(message, t.JSONRPCResponse | t.JSONRPCError)
        ]
        answers = answers or self._relay.without_answer(self._number, self._why(bytes(body)))
        yield _json(answers[0]) if answers else bytes(body)

    def _why(self, body: bytes) -> str:
        words = cut_at_word(" ".join(body[:ERROR_BYTES].decode("utf-8", "replace").split()), SHOWN_CHARACTERS)
        return f"{self._described} holds no answer" + (f": {words}" if words else "")

    async def aclose(self) -> None:
        await self._inner.aclose()


class RelayedEvents(httpx2.AsyncByteStream):
    """A stream of events, each with the messages as the relay has them."""

    def __init__(self, inner: _Bounded, relay: Relay, number: Id | None) -> None:
        self._inner = inner
        self._relay = relay
        self._number = number

        self._pending = bytearray()
        self._lines: list[bytes] = []
        self.last_id = ""
        """The id of the last event; the server may send on from there."""
        self.retry_ms: int | None = None
        """How long the server wants a client to wait before it asks for more."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for lines in self._events():
                yield await self._event(lines)
        except httpx2.TransportError as error:
            if self._number is None or not self._relay.awaits(self._number):
                raise
            yield b"data: " + _json(self._relay.broken(self._number, _broken(error))) + b"\n\n"

    async def next_messages(self, number: Id) -> list[t.JSONRPCMessage] | None:
        """Return what the next part of the stream says beside the answer, which the relay has; `None` at its end.

        `number` is that of a direct request.
        """
        try:
            data = await self._inner.__anext__()
        except StopAsyncIteration:
            return None
        except httpx2.TransportError as error:
            if self._relay.awaits(number):
                self._relay.broken(number, _broken(error))
            return None
        found: list[t.JSONRPCMessage] = []
        for lines in self._cut(data):
            self._note(lines)
            said = _data(lines)
            if said:
                found += await self._relay.received(said, number)
        return found

    def leave(self) -> None:
        """End reading after the answer."""
        self._inner.leave()

    def _note(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.startswith(b"id:") and b"\0" not in line:
                self.last_id = _value(line).decode("utf-8", "replace")
            elif line.startswith(b"retry:") and _value(line).isdigit() and len(line) < 20:
                self.retry_ms = int(_value(line))

    async def _events(self) -> AsyncIterator[list[bytes]]:
        """Yield the lines of each event."""
        async for data in self._inner:
            for lines in self._cut(data):
                yield lines

    def _cut(self, data: bytes) -> list[list[bytes]]:
        """Return the lines of each event that is whole with these bytes."""
        self._pending += data
        if b"\n" not in data and b"\r" not in data:
            return []
        text = bytes(self._pending)
        held = b"\r" if text.endswith(b"\r") else b""  # the line end may have a second half
        *whole, rest = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._pending = bytearray(rest + held)
        found: list[list[bytes]] = []
        for line in whole:
            if line:
                self._lines.append(line)
            else:
                found.append(self._lines)
                self._lines = []
        return found

    async def _event(self, lines: list[bytes]) -> bytes:
        data = _data(lines)
        other = [line for line in lines if line.partition(b":")[0] != b"data"]
        if not data:
            return b"\n".join([*lines, b"", b""])
        messages = await self._relay.received(data, self._number)
        found = [b"data: " + _json(message) for message in messages]
        events = [b"\n".join([*(other if place == 0 else ()), line, b"", b""]) for place, line in enumerate(found)]
        return b"".join(events) or b"\n".join([*other, b": no message", b"", b""])

    async def aclose(self) -> None:
        """End reading."""
        await self._inner.aclose()


async def beginning(response: httpx2.Response) -> bytes:
    """Return the first bytes of an answer that says what is wrong, and end it."""
    body = b""
    async for data in response.stream:  # type: ignore[union-attr]  # only asynchronous streams come here
        body += data[: ERROR_BYTES - len(body)]
        if len(body) >= ERROR_BYTES:
            break
    await response.aclose()
    return body


def _broken(error: httpx2.TransportError) -> str:
    return f"its answer broke off: {str(error) or type(error).__name__}"


def _described(response: httpx2.Response) -> str:
    kind = response.headers.get("content-type", "")[:100]
    return f"HTTP {response.status_code}" + (f" of type {kind!a}" if kind else "")


def _request_id(request: httpx2.Request) -> Id | None:
    """Return the id of the JSON-RPC request in a POST; `None` for a notification or an answer of ours."""
    if request.method != "POST":
        return None
    known = request.extensions.get(NUMBER)
    if isinstance(known, int):
        return known
    try:
        sent: Any = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    number = sent.get("id") if isinstance(sent, dict) and "method" in sent else None
    return number if isinstance(number, str | int) else None


def _data(lines: list[bytes]) -> bytes:
    return b"\n".join(_value(line) for line in lines if line.partition(b":")[0] == b"data")


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value


def _json(message: t.JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
