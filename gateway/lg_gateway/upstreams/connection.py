"""Connects the gateway to a server: over the pipes of a child process, or over HTTP with the gateway's own login."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as t
from mcp.client import Client
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client

from lg_gateway.processes.child_process import Child
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstreams.bounded_http import BoundedTransport
from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES, child_transport, watched
from lg_gateway.upstreams.oauth import ClientCredentials
from lg_gateway.upstreams.relay import Relay
from lg_policy.version import __version__

Transport = AbstractAsyncContextManager[TransportStreams]


def open_transport(
    spec: ServerSpec, child: Child | None, lost: anyio.Event, relay: Relay, auth: ClientCredentials | None
) -> Transport:
    """Return the transport to a server; `lost` is set when it ends."""
    if child is not None:
        return child_transport(child, lost, relay)
    timeout = httpx2.Timeout(30.0, read=spec.call_timeout_s + 30.0)
    bounded = BoundedTransport(httpx2.AsyncHTTPTransport(), relay=relay)
    http = httpx2.AsyncClient(headers=dict(spec.headers), timeout=timeout, auth=auth, transport=bounded)
    return watched(_with_client(http, str(spec.url)), lost, relay)


def make_client(transport: Transport, mode: str, *, on_message: Any, on_elicit: Any) -> Client:
    """Return a client for a transport, to be entered by the task that owns it. Answers are checked elsewhere."""
    return Client(
        transport,
        mode=mode,
        cache=None,
        message_handler=on_message,
        elicitation_callback=on_elicit,
        client_info=t.Implementation(name="lg-gateway", version=__version__),
    )


async def accept_any(_name: str, _result: t.CallToolResult) -> None:
    """Replace the SDK's check of answers, which has no time limit."""


@asynccontextmanager
async def _with_client(http: httpx2.AsyncClient, url: str) -> AsyncIterator[TransportStreams]:
    async with http, streamable_http_client(url, http_client=http, max_sse_event_size=MESSAGE_BYTES) as streams:
        yield streams
