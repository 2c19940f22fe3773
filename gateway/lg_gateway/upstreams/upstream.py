"""One upstream server: connected, watched and restarted by its own task; called from any other.

The MCP client is entered and left only in the owner task: one failed HTTP request cancels the task that holds a client,
and a request handler must survive that. Handlers use `call`, which fails at once when the connection is lost.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, cast

import anyio
import httpx2
import mcp_types as t
from mcp.client import Client
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lg_gateway.processes import child_process
from lg_gateway.processes.child_process import Child, Reaper
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstreams.bounded_http import BoundedTransport
from lg_gateway.upstreams.listing import AnswerCheck, list_tools
from lg_gateway.upstreams.oauth import ClientCredentials, Learn
from lg_gateway.upstreams.question_routing import InFlightCalls, OnQuestion, cancelled
from lg_gateway.upstreams.restart_policy import Backoff
from lg_gateway.upstreams.stdio import child_transport, watched
from lg_policy.errors import CallTimeout, Internal, LgError, OutcomeUnknown, UpstreamUnavailable
from lg_policy.version import __version__

log = logging.getLogger(__name__)

QUICK_FAILURE_S = 10.0
CRASH_LOOP = 8
RETRY_AFTER_CRASH_LOOP_S = 300.0
RELIST_PAUSE_S = 0.5
RELIST_PAUSE_MAX_S = 60.0
SESSION_GONE = "session not found"


class Progress(Protocol):
    """Passes progress on to the caller."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Report `progress` out of `total`."""
        ...


Answer = t.CallToolResult | t.InputRequiredResult


class UpstreamState(StrEnum):
    """Where an upstream is in its life."""

    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class UpstreamCall:
    """One call as it leaves. `repeatable`: doing it twice does no harm, so a lost one is not in doubt."""

    tool: str
    arguments: dict[str, Any]
    meta: dict[str, Any]
    timeout_s: float
    repeatable: bool
    progress: Progress | None = None
    input_responses: dict[str, Any] | None = None
    request_state: str | None = None
    on_question: OnQuestion | None = None
    """Answers a question that a handshake-era server asks while the call runs; without it, such a one is cancelled."""


class Upstream:
    """A server behind the gateway. `on_tools` is told its complete list whenever that may have changed, `learn` every
    token that was fetched for it."""

    def __init__(
        self,
        spec: ServerSpec,
        *,
        backoff: Backoff,
        reaper: Reaper,
        on_tools: Callable[[str, list[t.Tool]], Awaitable[None]],
        child: Child | None = None,
        learn: Learn = lambda _secrets: None,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.state = UpstreamState.STARTING
        self.error = ""
        self.restarts = 0
        self.protocol = ""
        self.version = ""
        self.settled = anyio.Event()
        self._backoff = backoff
        self._reaper = reaper
        self._on_tools = on_tools
        self._child = child
        self._mask = mask
        self._running: Child | None = None
        self._client: Client | None = None
        self._lost = anyio.Event()
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._failures = 0
        self._in_flight = 0
        self._idle = anyio.Event()
        self._reconnected = anyio.Event()
        self._flights = self._new_flights()
        self._answers = AnswerCheck(spec.name)
        self._auth = ClientCredentials(spec.login, learn) if spec.login is not None else None

    async def run(self) -> None:
        """Keep the connection up until cancelled. The only task that enters or leaves the client."""
        try:
            await self._keep_up()
        finally:
            self._client = None
            if self._child is not None:  # started early, never connected
                await self._child.stop()

    async def _keep_up(self) -> None:
        while True:
            began = anyio.current_time()
            try:
                await self._connection()
                self.error = self.error or "the connection ended"
            except Exception as error:  # whatever a server or transport does, only this server is down
                self.error = self._explain(error)
                log.debug("%s: connection failed", self.name, exc_info=error)
            self._client = None
            lived = anyio.current_time() - began
            self._failures = self._failures + 1 if lived < QUICK_FAILURE_S else 1
            await self._pause()
            self.restarts += 1

    def process_group(self) -> int | None:
        """Return the process group of a stdio server that is running, or ran last."""
        return self._running.process.pid if self._running is not None else None

    async def call(self, call: UpstreamCall) -> Answer:
        """Send one call and return the server's answer as it came.

        Raises `UpstreamUnavailable` (not sent, or lost and harmless to repeat), `OutcomeUnknown` (sent and lost),
        `CallTimeout`, or `Internal` (the answer breaks the protocol or its own schema); `MCPError` is the server's own.
        """
        self._in_flight += 1
        try:
            return await self._call(call)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is on its way."""
        while self._in_flight:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _call(self, call: UpstreamCall) -> Answer:
        client = await self._ready()
        try:
            return await self._send(client, call)
        except MCPError as error:
            if not self._session_gone(error):
                raise
        # The server forgot the session and so did not look at the call: connect anew and send it once more.
        log.warning("%s forgot its session; connecting again", self.name)
        if self._client is client:
            self._client = None
            self._reconnected = anyio.Event()
            self._lost.set()
        with anyio.move_on_after(self.spec.connect_timeout_s):
            await self._reconnected.wait()
        return await self._send(await self._ready(), call)

    @property
    def asks_live(self) -> bool:
        """Whether the server is of the handshake era, whose questions come while a call waits."""
        return self.protocol not in MODERN_PROTOCOL_VERSIONS

    async def _send(self, client: Client, call: UpstreamCall) -> Answer:
        if not self.asks_live:
            return await self._exchange(client, call, call.timeout_s)
        flights = self._flights
        try:
            async with flights.flight(call.on_question or cancelled, call.timeout_s) as flight:
                return noted(await self._exchange(client, call, None), flight.notes)
        finally:
            if flights.stale and flights.idle() and self._flights is flights:
                self._lost.set()  # what an earlier call may still ask cannot be told apart until it is started anew
        raise self._late(call)

    async def _exchange(self, client: Client, call: UpstreamCall, timeout_s: float | None) -> Answer:
        try:
            return await client.session.call_tool(
                call.tool,
                call.arguments,
                read_timeout_seconds=timeout_s,
                progress_callback=call.progress,
                input_responses=cast(Any, call.input_responses),
                request_state=call.request_state,
                meta=cast(Any, call.meta or None),
                allow_input_required=True,
            )
        except MCPError as error:
            failure = self._lost_call(error, call)
            if failure is None:
                raise
            raise failure from error
        except (RuntimeError, ValidationError) as error:
            log.warning("%s answered a call of %s wrongly: %s", self.name, call.tool, error)
            raise Internal(
                f"server {self.name} sent an answer that does not fit the protocol or its own schema"
            ) from error

    def _lost_call(self, error: MCPError, call: UpstreamCall) -> LgError | None:
        """What to tell the caller when the answer did not come; `None` when the error is the server's own."""
        if error.code == t.REQUEST_TIMEOUT:
            return self._late(call)
        if error.code != t.CONNECTION_CLOSED:
            return None
        if call.repeatable:
            return UpstreamUnavailable(
                f"server {self.name} ended during the call", hint="it is being restarted; repeat the call"
            )
        return OutcomeUnknown(
            f"server {self.name} ended during the call; whether it took effect is not known",
            hint="look at the state of things before you repeat it",
        )

    def _late(self, call: UpstreamCall) -> CallTimeout:
        hint = "it may have taken effect: look before you repeat it" if not call.repeatable else ""
        return CallTimeout(f"{self.name} did not answer within {call.timeout_s:g} s and was told to stop", hint=hint)

    def _new_flights(self) -> InFlightCalls:
        return InFlightCalls(self.name, tied=self.spec.url is not None, one_at_a_time=self.spec.one_at_a_time)

    async def _on_elicit(self, context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:  # noqa: ARG002  the SDK passes it by name
        return await self._flights.ask(t.ElicitRequest(params=params))

    async def _ready(self) -> Client:
        """Return the client, waiting for the first connection (not for a restart)."""
        if self.state is UpstreamState.STARTING:
            with anyio.move_on_after(self.spec.connect_timeout_s):
                await self.settled.wait()
        if self._client is None:
            self._wanted.set()
            raise UpstreamUnavailable(f"server {self.name} is {self.state}: {self.error}", hint="try again later")
        return self._client

    async def _connection(self) -> None:
        """One connection from start to end."""
        self._lost = anyio.Event()
        self._flights = self._new_flights()
        with anyio.fail_after(self.spec.connect_timeout_s) as connecting:
            async with Client(
                await self._transport(),
                mode=self.spec.mode,
                cache=None,
                message_handler=self._on_message,
                elicitation_callback=self._on_elicit,
                client_info=t.Implementation(name="lg-gateway", version=__version__),
            ) as client:
                client.session.validate_tool_result = self._answers.check  # type: ignore[method-assign]  # it has no end
                tools = await self._list(client)
                connecting.deadline = math.inf  # leaving the scope before the client would corrupt anyio's stack
                await self._up(client, tools)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._follow, client)
                    tasks.start_soon(self._refresh_on_change, client)
                    await self._lost.wait()
                    tasks.cancel_scope.cancel()

    async def _up(self, client: Client, tools: list[t.Tool]) -> None:
        info = client.server_info
        self.protocol, self.version = client.protocol_version, info.version if info else ""
        self.error = ""
        self._client = client
        await self._on_tools(self.name, tools)
        self.state = UpstreamState.UP
        self.settled.set()
        self._reconnected.set()
        log.info("%s is up: %d tools, protocol %s", self.name, len(tools), self.protocol)

    async def _pause(self) -> None:
        """Wait before the next start; after a crash loop for long, or until somebody calls."""
        log.warning("%s is down: %s", self.name, self.error)
        if self._failures < CRASH_LOOP:
            self.state = UpstreamState.RESTARTING
            self.settled.set()
            await anyio.sleep(self._backoff.pause(self._failures))
            return
        self.state = UpstreamState.FAILED
        self.settled.set()
        await self._on_tools(self.name, [])
        await anyio.sleep(self._backoff.longest_s)
        self._wanted = anyio.Event()
        with anyio.move_on_after(RETRY_AFTER_CRASH_LOOP_S):
            await self._wanted.wait()

    async def _transport(self) -> AbstractAsyncContextManager[TransportStreams]:
        if self.spec.launch is not None:
            child, self._child = self._child, None
            if child is None:
                child = await child_process.start(self.spec.launch, self._reaper)
            self._running = child
            child.mask = self._mask
            return child_transport(child, self._lost)
        timeout = httpx2.Timeout(30.0, read=self.spec.call_timeout_s + 30.0)
        bounded = BoundedTransport(httpx2.AsyncHTTPTransport())
        http = httpx2.AsyncClient(headers=dict(self.spec.headers), timeout=timeout, auth=self._auth, transport=bounded)
        return watched(_with_client(http, str(self.spec.url)), self._lost)

    async def _list(self, client: Client) -> list[t.Tool]:
        tools = await list_tools(client, self.name)
        self._answers.learn(tools)
        return tools

    async def _on_message(self, message: Any) -> None:
        # The session must not be used from its own message handler: only a flag is set here.
        if isinstance(message, t.ToolListChangedNotification):
            self._changed.set()

    async def _follow(self, client: Client) -> None:
        """Hear of changed tools on modern connections; legacy ones send a notification unasked."""
        with suppress(ListenNotSupportedError, MCPError, TimeoutError):
            try:
                async with client.listen(tools_list_changed=True) as subscription:
                    async for _ in subscription:
                        self._changed.set()
            except SubscriptionLost:
                log.debug("%s: its change stream ended", self.name)

    async def _refresh_on_change(self, client: Client) -> None:
        pause = RELIST_PAUSE_S
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            try:
                with anyio.fail_after(self.spec.connect_timeout_s):
                    tools = await self._list(client)
            except (MCPError, TimeoutError, ValidationError) as error:
                log.warning("%s announced changed tools and then did not list them: %s", self.name, error)
            else:
                await self._on_tools(self.name, tools)
            await anyio.sleep(pause)  # a server that announces without end is asked seldomer and seldomer
            pause = min(pause * 2, RELIST_PAUSE_MAX_S) if self._changed.is_set() else RELIST_PAUSE_S

    def _session_gone(self, error: MCPError) -> bool:
        return self.spec.url is not None and error.code == t.INVALID_REQUEST and SESSION_GONE in error.message.lower()

    def _explain(self, error: BaseException) -> str:
        """Say in one line why a connection failed, with the child's last words if there are any."""
        while isinstance(error, BaseExceptionGroup) and error.exceptions:
            error = error.exceptions[0]
        if isinstance(error, TimeoutError):
            return f"no answer within {self.spec.connect_timeout_s:g} s"
        words = self._running.last_words() if self._running is not None else ""
        status = self._running.process.returncode if self._running is not None else None
        ended = f"exited with status {status}" if status is not None else f"{type(error).__name__}: {error}"
        return ended + (f" ({words})" if words else "")


def noted(answer: Answer, notes: list[str]) -> Answer:
    """Return an answer with what the gateway has to say about it, as a text of its own at the end."""
    if not notes or not isinstance(answer, t.CallToolResult):
        return answer
    said = [t.TextContent(type="text", text=f"[the gateway: {note}]") for note in notes]
    return answer.model_copy(update={"content": [*answer.content, *said]})


@asynccontextmanager
async def _with_client(http: httpx2.AsyncClient, url: str) -> AsyncIterator[TransportStreams]:
    async with http, streamable_http_client(url, http_client=http) as streams:
        yield streams
