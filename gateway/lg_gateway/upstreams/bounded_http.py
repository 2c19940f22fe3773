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

from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES
from lg_gateway.upstreams.relay import Id, Relay
from lg_gateway.upstreams.wire_text import looks_like_a_message
from lg_policy.limits import cut_at_word

ERROR_BYTES = 64_000
"""Of a body that comes with an HTTP error."""
SHOWN_CHARACTERS = 300
# What these mean is decided elsewhere: a login, a session that is gone, a method that is not served.
_LEFT_TO_THE_SDK = (401, 403, 404, 405)
_NO_ANSWER = (502, 504)


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Passes requests on to `inner` and counts what comes back. `limit` is in bytes, of one message."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, limit: int = MESSAGE_BYTES, relay: Relay | None = None
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._relay = relay

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Reading its answer raises `ReadError` once a message of it is too long.

        Raises it at once for a compressed answer, whose length is not known before it is unpacked.
        """
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await response.aclose()
            raise httpx2.ReadError("the answer is compressed, although the gateway did not ask for that")
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            return response
        kind = response.headers.get("content-type", "").strip().lower()
        events = kind.startswith("text/event-stream")
        bounded = _Bounded(response.stream, self._limit, events=events)
        response.stream = bounded
        if self._relay is None or request.method not in ("POST", "GET"):
            return response
        number = _request_id(request)
        if events:
            response.stream = _RelayedEvents(bounded, self._relay, number)
        elif number is not None and response.status_code >= 400 and response.status_code not in _LEFT_TO_THE_SDK:
            return await self._refused(self._relay, response, number)
        elif number is not None and 200 <= response.status_code < 300:
            response.stream = _RelayedBody(bounded, self._relay, number, _described(response))
            response.status_code = 200  # of one without a body, and of any kind: the relay says what is in it
            response.headers["content-type"] = "application/json"
        return response

    async def _refused(self, relay: Relay, response: httpx2.Response, number: Id) -> httpx2.Response:
        """Turn an HTTP error into a JSON-RPC error: the one in its body, or one that quotes it."""
        body = b""
        async for data in response.stream:  # type: ignore[union-attr]  # only asynchronous streams come here
            body += data[: ERROR_BYTES - len(body)]
            if len(body) >= ERROR_BYTES:
                break
        await response.aclose()
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

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """Counts the bytes of an answer; of one that is a stream of events, those since the last empty line."""

    def __init__(self, inner: httpx2.AsyncByteStream, limit: int, *, events: bool) -> None:
        self._inner = inner
        self._limit = limit
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        since = 0
        async for data in self._inner:
            end = max(data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")) if self._events else -1
            since = since + len(data) if end < 0 else len(data) - end
            if since > self._limit:
                raise httpx2.ReadError(f"a message of more than {self._limit} bytes")
            yield data

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


class _RelayedEvents(httpx2.AsyncByteStream):
    """A stream of events, each with the messages as the relay has them."""

    def __init__(self, inner: httpx2.AsyncByteStream, relay: Relay, number: Id | None) -> None:
        self._inner = inner
        self._relay = relay
        self._number = number

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for event in self._events():
                yield event
        except httpx2.TransportError as error:
            if self._number is None or not self._relay.awaits(self._number):
                raise
            yield b"data: " + _json(self._relay.broken(self._number, _broken(error))) + b"\n\n"

    async def _events(self) -> AsyncIterator[bytes]:
        lines: list[bytes] = []
        pending = bytearray()
        async for data in self._inner:
            pending += data
            if b"\n" not in data and b"\r" not in data:
                continue
            text = bytes(pending)
            held = b"\r" if text.endswith(b"\r") else b""  # the line end may have a second half
            *whole, rest = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            pending = bytearray(rest + held)
            for line in whole:
                if line:
                    lines.append(line)
                    continue
                yield await self._event(lines)
                lines = []

    async def _event(self, lines: list[bytes]) -> bytes:
        data = b"\n".join(_value(line) for line in lines if line.partition(b":")[0] == b"data")
        other = [line for line in lines if line.partition(b":")[0] != b"data"]
        if not data:
            return b"\n".join([*lines, b"", b""])
        messages = await self._relay.received(data, self._number)
        found = [b"data: " + _json(message) for message in messages]
        events = [b"\n".join([*(other if place == 0 else ()), line, b"", b""]) for place, line in enumerate(found)]
        return b"".join(events) or b": no message\n\n"

    async def aclose(self) -> None:
        await self._inner.aclose()


def _broken(error: httpx2.TransportError) -> str:
    return f"its answer broke off: {str(error) or type(error).__name__}"


def _described(response: httpx2.Response) -> str:
    kind = response.headers.get("content-type", "")[:100]
    return f"HTTP {response.status_code}" + (f" of type {kind!a}" if kind else "")


def _request_id(request: httpx2.Request) -> Id | None:
    """Return the id of the JSON-RPC request in a POST; `None` for a notification or an answer of ours."""
    if request.method != "POST":
        return None
    try:
        sent: Any = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    number = sent.get("id") if isinstance(sent, dict) and "method" in sent else None
    return number if isinstance(number, str | int) else None


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value


def _json(message: t.JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
