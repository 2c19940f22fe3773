"""Connects the gateway to a server: over the pipes of a child process, or over HTTP with the gateway's own login."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
import mcp_types as t
from mcp.client._transport import TransportStreams
from mcp.client.client import Client
from mcp.client.extension import advertise
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._context_streams import ContextReceiveStream
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from lg_gateway.catalog import apps
from lg_gateway.http_client.pool import HttpPool
from lg_gateway.processes.child_process import Child
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstream_login.server_login import ServerLogin
from lg_gateway.upstreams.bounded_http import BoundedTransport
from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES, child_transport, watched
from lg_gateway.upstreams.direct_calls import DirectCalls
from lg_gateway.upstreams.direct_http import DirectHttpCalls
from lg_gateway.upstreams.question_routing import OnQuestion
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.sse_transport import older_http
from lg_policy.version import __version__

log = logging.getLogger(__name__)

Transport = AbstractAsyncContextManager[TransportStreams]
Direct = DirectCalls | DirectHttpCalls


class ServerConnection:
    """How one server is reached: over the SDK's transport, and past it. `lost` is set when the connection ends."""

    def __init__(
        self, spec: ServerSpec, child: Child | None, lost: anyio.Event, relay: Relay, login: ServerLogin
    ) -> None:
        self._spec = spec
        self._child = child
        self._lost = lost
        self._relay = relay
        self._login = login
        # What an answer may be waited for is the call's own limit; this one ends what hangs without a call.
        self._timeout = httpx2.Timeout(30.0, read=spec.call_timeout_s + 30.0)
        self._http = BoundedTransport(HttpPool(), relay=relay, refusals=login.refusals)
        self._to_session: Any = None

    def transport(self) -> Transport:
        """Return the transport for the SDK's session."""
        if self._child is not None:
            return child_transport(self._child, self._lost, self._relay)
        if self._spec.transport != "http":
            return watched(older_http(self._spec, self._relay, self._login, self._timeout), self._lost, self._relay)
        return watched(self._over_http(), self._lost, self._relay)

    def direct(self, client: Client) -> Direct | None:
        """Return the way for calls past the session, which has been opened; none over the older transport."""
        if self._child is not None:
            return DirectCalls(self._child, self._relay, client, self._lost)
        if self._spec.transport != "http":
            return None
        return DirectHttpCalls(
            self._spec, self._http, self._timeout, self._relay, client, self._lost, self._login.auth, self._say
        )

    @asynccontextmanager
    async def _over_http(self) -> AsyncIterator[TransportStreams]:
        """Open the SDK's transport, with a way for others to say something to its session."""
        url = str(self._spec.url)
        http = httpx2.AsyncClient(
            headers=dict(self._spec.headers), timeout=self._timeout, auth=self._login.auth, transport=self._http
        )
        self._to_session, received = anyio.create_memory_object_stream[Any](0)
        async with (
            http,
            streamable_http_client(url, http_client=http, max_sse_event_size=MESSAGE_BYTES) as (read, write),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._pass_on, read)
            try:
                yield ContextReceiveStream(received), write
            finally:
                received.close()
                tasks.cancel_scope.cancel()

    async def _pass_on(self, read: Any) -> None:
        """Pass on what the transport received, in the context in which it was."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with self._to_session:
                async for item in read:
                    await self._to_session.send((read.last_context, item))

    async def _say(self, message: t.JSONRPCMessage) -> None:
        """Give the session a message that came on the stream of a direct call, in the context of that call."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._to_session.send((contextvars.copy_context(), SessionMessage(message)))


def make_client(
    transport: Transport, spec: ServerSpec, mode: str, *, on_message: Any, on_question: OnQuestion
) -> Client:
    """Return a client for a transport, to be entered by the task that owns it. Answers are checked elsewhere.

    It declares what the settings let the server ask for, and that clients show pages of tools.
    """

    async def on_elicit(context: Any, params: t.ElicitRequestParams) -> Any:  # noqa: ARG001  the SDK's signature
        return await on_question(t.ElicitRequest(params=params))

    async def on_sampling(context: Any, params: t.CreateMessageRequestParams) -> Any:  # noqa: ARG001  the SDK's signature
        return await on_question(t.CreateMessageRequest(params=params))

    async def on_roots(context: Any) -> Any:  # noqa: ARG001  the SDK's signature
        return await on_question(t.ListRootsRequest())

    return Client(
        transport,
        mode=mode,
        cache=None,
        message_handler=on_message,
        elicitation_callback=on_elicit,
        sampling_callback=on_sampling if spec.sampling else None,
        sampling_capabilities=t.SamplingCapability(tools=t.SamplingToolsCapability()) if spec.sampling else None,
        list_roots_callback=on_roots if spec.roots else None,
        extensions=[advertise(apps.EXTENSION, apps.SETTINGS)] if spec.builtin is None else None,
        client_info=t.Implementation(name="lg-gateway", version=__version__),
    )


async def learn_capabilities(client: Client, mode: str) -> None:
    """Ask a server whose era is set to 2026 what it has: the SDK asks only where it has to find out the era."""
    if mode in ("auto", "legacy"):
        return
    try:
        found = await client.session.send_discover(mode)
        client.session.adopt(t.DiscoverResult.model_validate(found, by_name=False))
    except (MCPError, ValidationError, RuntimeError) as error:
        log.debug("a server does not say what it has: %s", error)


async def accept_any(_name: str, _result: t.CallToolResult) -> None:
    """Replace the SDK's check of answers, which has no time limit."""
