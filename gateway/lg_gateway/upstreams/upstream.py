"""Connects one upstream server, watches it and restarts it, in a task of its own. Other tasks call it.

Only that task enters and leaves the MCP client: one failed HTTP request cancels the task that holds a client, and a
request handler must survive that. Handlers use `call`, which waits for a restart and fails if the restart fails.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from secrets import token_hex
from typing import Any

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lg_gateway.catalog.offer import Offer
from lg_gateway.processes import child_process
from lg_gateway.processes.child_process import Child, Reaper
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.upstream_login.server_login import ServerLogin
from lg_gateway.upstreams.client_side import notices
from lg_gateway.upstreams.client_side.caller_capabilities import tell_callers_capabilities
from lg_gateway.upstreams.client_side.opened_pages import OpenedPages
from lg_gateway.upstreams.connection import Direct, ServerConnection, accept_any, learn_capabilities, make_client
from lg_gateway.upstreams.failure_reasons import NotSent, session_gone, too_late, why_call_failed, why_connection_ended
from lg_gateway.upstreams.handshake_memory import EraChoice, HandshakeMemory
from lg_gateway.upstreams.listing import AnswerCheck, read_offer
from lg_gateway.upstreams.offers.app_pages import AppPages
from lg_gateway.upstreams.offers.list_changes import LIST_CHANGES, ListChanges
from lg_gateway.upstreams.offers.resource_watch import OnUpdated, ResourceWatch
from lg_gateway.upstreams.offers.server_tasks import has_tasks
from lg_gateway.upstreams.question_routing import InFlightCalls, answer_cancel
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Answer, RelayedResult, Reply, current_reply, noted
from lg_gateway.upstreams.restart_policy import Backoff, Restart, restart
from lg_gateway.upstreams.upstream_call import UpstreamCall
from lg_policy.errors import Internal, UpstreamUnavailable
from lg_policy.rules.rule_set import Kind

log = logging.getLogger(__name__)


class UpstreamState(StrEnum):
    """The state of an upstream."""

    STARTING = "starting"
    UP = "up"
    RESTARTING = "restarting"
    FAILED = "failed"


class Upstream:
    """A server behind the gateway.

    `on_offer` gets its complete lists whenever they may have changed. `login` is how it logs in. `left_out` says what
    is wrong with the definitions of tools, by name.
    """

    def __init__(
        self,
        spec: ServerSpec,
        *,
        backoff: Backoff,
        reaper: Reaper,
        on_offer: Callable[[str, Offer], Awaitable[None]],
        on_updated: OnUpdated,
        memory: HandshakeMemory,
        login: ServerLogin,
        child: Child | None = None,
        mask: Callable[[str], str] | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.state = UpstreamState.STARTING
        self.error = self.last_error = ""
        self.last_error_at, self.restarts = 0.0, 0
        self.protocol = self.version = ""
        self.left_out: dict[str, str] = {}
        self.log_level: str | None = None
        self.settled = anyio.Event()
        self._backoff = backoff
        self._reaper = reaper
        self._on_offer = on_offer
        self.watch = ResourceWatch(spec.name, on_updated)
        self._era = EraChoice(spec, memory)
        self._child = child
        self._mask = mask
        self._running: Child | None = None
        self._client: Client | None = None
        self._direct: Direct | None = None
        self._has_tasks = False
        self._incarnation = ""
        self._lost = anyio.Event()
        self._changes = ListChanges(spec.name)
        self._apps = AppPages(spec.name, self._changes.heard)
        self._wanted = anyio.Event()
        self._news = anyio.Event()
        self._attempts = self._failures = 0
        self._up_since = math.inf
        self._in_flight = self._exchanges = 0
        self._renewing = False
        self._idle: anyio.Event | None = None
        self._relay = Relay(spec.name)
        self._calls = self._new_calls()
        self.pages = OpenedPages()
        self._answers = AnswerCheck(spec.name, strict=spec.strict_results)
        self.login = login

    async def run(self) -> None:
        """Keep the connection up until cancelled. The only task that enters or leaves the client."""
        self._era.recall()
        try:
            await self._keep_up()
        finally:
            self._client = None
            if self._child is not None:  # started early, never connected
                await self._child.stop()

    async def _keep_up(self) -> None:
        while True:
            self._up_since, self._running, startable = math.inf, None, True
            try:
                await self._connection()
                self.error = why_connection_ended(EOFError("the connection ended"), self.spec, self._running)
            except Exception as error:  # whatever a server or transport does, only this server is down
                if self._up_since == math.inf and self._era.connection_failed(
                    self._relay, by_itself=self._running is not None and not isinstance(error, TimeoutError)
                ):
                    continue
                startable = not (isinstance(error, OSError) and self.spec.launch is not None and self._running is None)
                startable = startable and not self.login.needs_a_person
                self.error = why_connection_ended(error, self.spec, self._running, self.login.last_said)
                log.debug("%s: connection failed", self.name, exc_info=error)
            self._client, self.error = None, self.error if self._mask is None else self._mask(self.error)
            if self._renewing:
                self._renewing = False
                self.restarts += 1
                log.info("%s: reconnecting", self.name)
                continue
            up_s = max(0.0, anyio.current_time() - self._up_since)
            await self._pause(restart(self._failures, up_s, self._backoff, startable=startable))
            self.restarts += 1

    def process_group(self) -> int | None:
        """Return the process group of a stdio server that is running, or ran last."""
        return self._running.process.pid if self._running is not None else None

    def wake(self) -> None:
        """Start the server now if it waits to be started."""
        self._wanted.set()

    async def call(self, call: UpstreamCall) -> Answer:
        """Send one call and return the server's answer as it came.

        Raises `UpstreamUnavailable` (not sent, or lost and harmless to repeat), `OutcomeUnknown` (sent and lost),
        `CallTimeout`, or `Internal` (the answer cannot be read); `MCPError` is the server's own.
        """
        self._in_flight += 1
        try:
            return await self._era.made(call, self._call, lambda: self._renew(self._client))
        finally:
            self._in_flight -= 1
            if self._idle is not None and not self._in_flight:
                self._idle.set()

    @property
    def has_tasks(self) -> bool:
        """Whether the server that is connected may answer a call with a task."""
        return self._client is not None and self._has_tasks

    async def session(self) -> tuple[Client, str]:
        """Return the connected client, and a name of the process behind it: tasks of a child end with the child."""
        return await self._ready(), self._incarnation

    async def tell(self, notice: notices.Notice) -> None:
        """Tell a 2025 server what is new on the side of its clients."""
        await notice(self._client, self.spec)

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        while self._in_flight:
            self._idle = idle = anyio.Event()
            await idle.wait()

    async def _call(self, call: UpstreamCall) -> Answer:
        client = self._client or await self._ready()
        try:
            return await self._send(client, call)
        except NotSent:
            if self._client is client:
                self._client = None  # its end has not been noticed yet
            return await self._once_more(call)
        except MCPError as error:
            if not session_gone(self.spec, error):
                raise
        # The server forgot the session, so it did nothing with the call: reconnect and send it once more.
        log.warning("%s no longer knows the session; reconnecting", self.name)
        self._renew(client)
        return await self._once_more(call)

    async def _once_more(self, call: UpstreamCall) -> Answer:
        try:
            return await self._send(await self._ready(), call)
        except NotSent as error:
            raise UpstreamUnavailable(
                f"server {self.name} ended twice before the gateway could send the call", hint="try again later"
            ) from error

    @property
    def asks_live(self) -> bool:
        """Return whether this is a 2025 server, which asks questions while a call waits."""
        return self._era.mode == "legacy" or self.protocol not in MODERN_PROTOCOL_VERSIONS

    async def _send(self, client: Client, call: UpstreamCall) -> Answer:
        if not self.asks_live:
            return await self._exchange(client, call, call.timeout_s, Reply())
        while True:
            calls, reply = self._calls, Reply()
            async with calls.flight(call.on_question or answer_cancel, call.timeout_s) as flight:
                if self._client is client:
                    return noted(await self._exchange(client, call, None, reply), flight.notes)
            if self._client is client:  # the time is over: its scope ended the block
                raise too_late(self.name, call.timeout_s, reply, repeatable=call.repeatable)
            # While this call waited for its turn, the connection was given up. Nothing was sent.
            client = await self._ready()

    async def _exchange(self, client: Client, call: UpstreamCall, timeout_s: float | None, reply: Reply) -> Answer:
        token = current_reply.set(reply)
        self._exchanges += 1
        direct, incarnation = (self._direct if client is self._client else None), self._incarnation
        try:
            answer = await call.send(client, direct, reply, timeout_s)
        except MCPError as error:
            if reply.request_id is None and error.code == t.CONNECTION_CLOSED:
                raise NotSent from error
            refusal = self.login.refusals.of(reply.request_id) if reply.error is None else None
            timeout, said = call.timeout_s, self.login.why(refusal)
            raise self.login.required(refusal) or why_call_failed(
                self.spec, error, reply, timeout_s=timeout, repeatable=call.repeatable, refused=said
            ) from error
        except (RuntimeError, ValidationError) as error:
            log.warning("%s sent an answer to %s that is not valid MCP: %s", self.name, call.tool, error)
            raise Internal(f"server {self.name} sent an answer that is not valid MCP") from error
        finally:
            current_reply.reset(token)
            self._exchanges -= 1
            self._end_if_idle(client)
        if reply.result is None:
            if answer is None:
                raise Internal(f"server {self.name} sent an answer that is not valid MCP")
            return answer
        if reply.result.task is not None:
            return reply.result.of_process(incarnation)
        if call.kind is Kind.RESOURCE:
            self._apps.check(call.tool, reply.result)
        return await self.checked(call.tool, reply.result) if call.kind is Kind.TOOL else reply.result

    async def checked(self, tool: str, result: RelayedResult) -> Answer:
        """Return a tool's result; without its structured part and with a note if that does not fit."""
        checked = await self._answers.checked(tool, result)
        return noted(checked, [checked.misfit] if checked.misfit else [])

    def _renew(self, client: Client | None) -> None:
        """Reconnect without a failure: new calls wait, and the old connection ends once it is idle."""
        if client is not None and self._client is client:
            self._client, self._renewing = None, True
            self.state, self.error = UpstreamState.RESTARTING, "the gateway is reconnecting"
            self._end_if_idle(client)

    def _end_if_idle(self, client: Client) -> None:
        if self._exchanges:
            return
        if self._calls.needs_new_connection:
            self._renew(client)
        if self._renewing:
            self._lost.set()

    def _new_calls(self) -> InFlightCalls:
        relay = self._relay
        return InFlightCalls(
            self.name,
            questions_name_their_call=self.spec.url is not None,
            one_at_a_time=self.spec.one_at_a_time,
            in_doubt=lambda: relay.calls_given_up,
        )

    async def _on_question(self, request: t.InputRequest) -> t.InputResponse | t.ErrorData:
        self._relay.question_taken()
        return await self._calls.ask(request)

    async def _ready(self) -> Client:
        """Return the client. Wait while the server starts; start it if it waits after failures."""
        attempts = self._attempts
        with anyio.move_on_after(self.spec.connect_timeout_s):
            while self._client is None and self._attempts == attempts:
                self._wanted.set()  # again after each news: a pause that has just begun does not know of this call
                await self._news.wait()
        if self._client is None:
            reason = self.error or "it did not answer"
            raise self.login.required(self.login.refusals.last) or UpstreamUnavailable(
                f"server {self.name} is {self.state}: {reason}", hint="try again later"
            )
        return self._client

    async def _connection(self) -> None:
        """One connection from start to end."""
        self._lost = anyio.Event()
        self._relay = Relay(self.name)
        self._calls = self._new_calls()
        if self.spec.launch is not None:
            self._incarnation = token_hex(8)
            child, self._child = self._child, None
            self._running = child or await child_process.start(self.spec.launch, self._reaper)
            self._running.mask = self._mask
        connection = ServerConnection(self.spec, self._running, self._lost, self._relay, self.login)
        with anyio.fail_after(self.spec.connect_timeout_s) as connecting:
            async with make_client(
                connection.transport(),
                self.spec,
                self._era.mode,
                on_message=self._on_message,
                on_question=self._on_question,
            ) as client:
                client.session.validate_tool_result = accept_any  # type: ignore[method-assign,assignment]  # it has no end
                await learn_capabilities(client, self._era.mode)
                tell_callers_capabilities(client)
                async with anyio.create_task_group() as tasks:
                    # Before the list: a change between the two would be missed.
                    tasks.start_soon(self._changes.follow, client)
                    offer = await self._list(client)
                    connecting.deadline = math.inf  # leaving the scope before the client would corrupt anyio's stack
                    await self._up(client, offer, connection.direct(client))
                    again, take = partial(self._list, client), partial(self._on_offer, self.name)
                    tasks.start_soon(self._changes.read_again, again, take, self.spec.connect_timeout_s)
                    tasks.start_soon(partial(self.watch.run, client, live=self.asks_live))
                    await self._lost.wait()
                    self._client = None
                    tasks.cancel_scope.cancel()

    async def _up(self, client: Client, offer: Offer, direct: Direct | None) -> None:
        info = client.server_info
        self.protocol, self.version = client.protocol_version, info.version if info else ""
        self._era.connected(self._relay, self.protocol)
        self.error = ""
        self._up_since = anyio.current_time()
        await self._on_offer(self.name, offer)
        await notices.set_log_level(self.log_level, client, self.spec)
        self._client, self._direct, self._has_tasks = client, direct, has_tasks(client)
        self.state = UpstreamState.UP
        self.settled.set()
        self._announce()
        log.info("%s is up: %d tools, protocol %s", self.name, len(offer.tools), self.protocol)

    def _announce(self) -> None:
        """Wake the calls that wait for a client."""
        self._news.set()
        self._news = anyio.Event()

    async def _pause(self, plan: Restart) -> None:
        """Wait before the next start. A call ends the wait early."""
        log.warning("%s is down: %s", self.name, self.error)
        self.last_error, self.last_error_at = self.error, time.time()
        self._failures = plan.failures
        self.state = UpstreamState.FAILED if plan.given_up else UpstreamState.RESTARTING
        if self._up_since == math.inf:  # it did not come up; a server that was up is waited for
            self._attempts += 1
        self.settled.set()
        self._wanted = anyio.Event()
        self._announce()
        began = anyio.current_time()
        await anyio.sleep(plan.at_least_s)
        with anyio.move_on_at(math.inf if plan.at_most_s is None else began + plan.at_most_s):
            await self.login.wanted_or_changed(self._wanted)

    async def _list(self, client: Client) -> Offer:
        listed, self.left_out = await read_offer(client, self.name)
        offer = replace(listed, tools=[tool for tool in listed.tools if self.spec.offers(tool.name)])
        if self.spec.builtin is None and offer.has_resources:
            offer = replace(offer, tools=await self._apps.marked(client, offer.tools))
        self._answers.learn(offer.tools)
        return offer

    async def _on_message(self, message: Any) -> None:
        # The session must not be used from its own message handler: only a flag is set here.
        if isinstance(message, LIST_CHANGES):
            self._changes.heard()
        elif isinstance(message, t.ElicitCompleteNotification):
            self.pages.done(message.params.elicitation_id)
        elif isinstance(message, t.ResourceUpdatedNotification):
            self.watch.updated(message.params.uri)
