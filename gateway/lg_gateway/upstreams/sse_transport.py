"""The HTTP transport that MCP had before Streamable HTTP: one stream of events, and a POST for each message.

A file of a client often does not say which of the two a server speaks. With `transport = "auto"` the gateway does as
the specification says: it POSTs an `initialize`, and takes SSE where that is refused with 400, 404 or 405.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2
import mcp_types as t
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskStatus
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from lg_gateway.http_client.pool import HttpPool
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstream_login.server_login import ServerLogin
from lg_gateway.upstreams.bounded_http import ERROR_BYTES, BoundedTransport
from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.wire_text import looks_like_a_message
from lg_policy.version import __version__

log = logging.getLogger(__name__)

Incoming = ObjectSendStream[SessionMessage | Exception]
_REFUSED = (400, 404, 405)
_EVENTS = {"Accept": "text/event-stream"}
_INITIALIZE: Mapping[str, Any] = {
    "jsonrpc": "2.0",
    "id": "transport",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "lg-gateway", "version": __version__},
    },
}


@asynccontextmanager
async def older_http(
    spec: ServerSpec, relay: Relay, login: ServerLogin, limits: httpx2.Timeout
) -> AsyncIterator[TransportStreams]:
    """Connect by SSE; with `transport = "auto"` by Streamable HTTP, unless the server refuses that."""
    url = str(spec.url)

    def client(relay: Relay | None) -> httpx2.AsyncClient:
        bounded = BoundedTransport(HttpPool(), relay=relay, refusals=login.refusals)
        return httpx2.AsyncClient(headers=dict(spec.headers), timeout=limits, auth=login.auth, transport=bounded)

    sse = spec.transport == "sse"
    if not sse:
        async with client(None) as http:
            sse = await _refuses_streamable_http(http, url)
    if sse:
        async with client(None) as http, _sse(http, url, relay) as streams:
            yield streams
    else:
        async with (
            client(relay) as http,
            streamable_http_client(url, http_client=http, max_sse_event_size=MESSAGE_BYTES) as streams,
        ):
            yield streams


async def _refuses_streamable_http(http: httpx2.AsyncClient, url: str) -> bool:
    accepted = {"Accept": "application/json, text/event-stream"}
    async with http.stream("POST", url, json=_INITIALIZE, headers=accepted) as response:
        if response.status_code not in _REFUSED:
            session = response.headers.get("mcp-session-id")
        else:
            body = b""
            async for data in response.aiter_bytes():
                body += data[: ERROR_BYTES - len(body)]
                if len(body) >= ERROR_BYTES:
                    break
            return not looks_like_a_message(body)
    if session:
        await http.delete(url, headers={"mcp-session-id": session})
    return False


@asynccontextmanager
async def _sse(http: httpx2.AsyncClient, url: str, relay: Relay) -> AsyncIterator[TransportStreams]:
    incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    forever = httpx2.Timeout(http.timeout.connect, read=None)
    async with (
        http.stream("GET", url, headers=_EVENTS, timeout=forever) as response,
        incoming, read, write, outgoing,
        anyio.create_task_group() as tasks,
    ):  # fmt: skip
        response.raise_for_status()
        address = await tasks.start(_receive, response, url, incoming, relay)
        tasks.start_soon(_send_all, http, address, outgoing, incoming, relay)
        yield read, write
        tasks.cancel_scope.cancel()


async def _receive(
    response: httpx2.Response,
    url: str,
    incoming: Incoming,
    relay: Relay,
    *,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Pass on the messages of the stream. The first event names the address for ours."""
    known = False
    async with incoming:
        try:
            async for kind, data in _events(response):
                if kind == b"endpoint" and not known:
                    address = _address(url, data.decode("utf-8", "replace"))
                    known = True
                    task_status.started(address)
                elif known and kind in (b"", b"message"):
                    for message in await relay.received(data):
                        await incoming.send(SessionMessage(message))
        except httpx2.TransportError as error:
            if not known:
                raise
            log.info("the event stream of %s ended: %s", url.partition("?")[0], error)
        if not known:
            raise httpx2.RemoteProtocolError("the server's event stream ended before it named an address")


def _address(url: str, written: str) -> str:
    """Return the address for messages. Raises for another origin: the server would get the credentials of this one."""
    address = urljoin(url, written)
    if urlsplit(address)[:2] != urlsplit(url)[:2]:
        raise httpx2.RemoteProtocolError("the server names an address of another origin for messages")
    return address


async def _events(response: httpx2.Response) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of each event. The transport below limits their length."""
    kind, lines, pending = b"", [], bytearray()
    async for piece in response.aiter_bytes():
        pending += piece
        if b"\n" not in piece and b"\r" not in piece:
            continue
        text = bytes(pending)
        held = b"\r" if text.endswith(b"\r") else b""  # the line end may have a second half
        *whole, rest = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        pending = bytearray(rest + held)
        for line in whole:
            name, _, value = line.partition(b":")
            if name == b"event":
                kind = value.strip()
            elif name == b"data":
                lines.append(value.removeprefix(b" "))
            elif not line:
                if lines:
                    yield kind, b"\n".join(lines)
                kind, lines = b"", []


async def _send_all(
    http: httpx2.AsyncClient,
    address: str,
    outgoing: ObjectReceiveStream[SessionMessage],
    incoming: Incoming,
    relay: Relay,
) -> None:
    """POST each message. Several may be on their way: a slow one does not hold up the next."""
    async with outgoing, anyio.create_task_group() as posts:
        async for item in outgoing:
            posts.start_soon(_post, http, address, item.message, incoming, relay)


async def _post(
    http: httpx2.AsyncClient, address: str, message: t.JSONRPCMessage, incoming: Incoming, relay: Relay
) -> None:
    """POST a message. A request that the server refuses gets its answer here: none would come."""
    body = message.model_dump_json(by_alias=True, exclude_unset=True)
    lost = ""
    try:
        async with http.stream("POST", address, content=body, headers={"Content-Type": "application/json"}) as response:
            why = f"HTTP {response.status_code} {response.reason_phrase}" if response.status_code >= 400 else ""
    except httpx2.TransportError as error:
        why = lost = f"the message was not taken: {str(error) or type(error).__name__}"
    if why and isinstance(message, t.JSONRPCRequest) and relay.awaits(message.id):
        failed = relay.failed(message.id, t.ErrorData(code=t.INTERNAL_ERROR, message=why), lost=lost)
        await incoming.send(SessionMessage(failed))
