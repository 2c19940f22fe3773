"""The way from a call back to its client: progress, log messages, and questions that it answers meanwhile.

Everything of a call travels on the stream of the call.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lg_gateway.calls.call import AskHuman, TaskUse
from lg_gateway.elicitation.client_abilities import AskClient, ClientAbilities, abilities_of
from lg_gateway.tasks.task_requests import task_use
from lg_gateway.upstreams.client_side.log_messages import LEVELS, OnLog, most_verbose
from lg_gateway.upstreams.progress import Progress

log = logging.getLogger(__name__)

DEFAULT_LEVEL = "info"
"""For a 2025 client that has not set a level."""
Context = ServerRequestContext[Any, Any]


class LogLevels:
    """From which level on each client wants log messages."""

    def __init__(self) -> None:
        self._of_connection: dict[int, str] = {}

    def set(self, ctx: Context, level: str) -> str:
        """Note the level of a 2025 client's connection; return the one that servers must send."""
        connection = ctx.session._connection  # private: nothing public leads from a request to its connection
        if id(connection) not in self._of_connection:
            connection.exit_stack.callback(self._of_connection.pop, id(connection), None)
        self._of_connection[id(connection)] = level
        return most_verbose(list(self._of_connection.values()))

    def of(self, ctx: Context) -> str | None:
        """Return the level for one call; `None` where its client gets none. A 2026 client says so with each call."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            asked = (ctx.meta or {}).get(t.LOG_LEVEL_META_KEY)
            return asked if isinstance(asked, str) and asked in LEVELS else None
        return self._of_connection.get(id(ctx.session._connection), DEFAULT_LEVEL)  # private: as above


def log_sender(ctx: Context) -> OnLog:
    """Return how a server's log message is sent to a call's client: on the stream of the call."""

    async def send(message: t.LoggingMessageNotification) -> None:
        await ctx.session.send_notification(message, related_request_id=ctx.request_id)

    return send


def progress_of(ctx: Context) -> Progress | None:
    """Return where a call's progress goes; `None` if its client did not ask for any."""
    if not any(token in (ctx.meta or {}) for token in ("progressToken", "progress_token")):
        return None

    async def report(progress: float, total: float | None, message: str | None) -> None:
        await ctx.session.report_progress(progress, total, message)

    return report


def _asking(declared: t.ClientCapabilities | None, version: str) -> Literal["rounds", "live", "none"]:
    """How this caller's human can be asked. Empty elicitation capabilities mean forms."""
    elicitation = declared.elicitation if declared is not None else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return "none"
    return "rounds" if version in MODERN_PROTOCOL_VERSIONS else "live"


@dataclass(frozen=True, kw_only=True)
class ClientTraits:
    """What a client says of itself, for all its calls."""

    name: str
    asking: Literal["rounds", "live", "none"]
    abilities: ClientAbilities
    tasks: TaskUse


class LastClient:
    """Remembers the traits of the client that called last: on stdio, it is always the same one."""

    def __init__(self) -> None:
        self._said: tuple[object, object, str] | None = None
        self._traits: ClientTraits | None = None

    def of(self, ctx: Context) -> ClientTraits:
        """Return the traits of the client of a request. Compared by object: another connection has others."""
        params, declared, version = ctx.session.client_params, ctx.session.client_capabilities, ctx.protocol_version
        said = self._said
        if self._traits is None or said is None or said[0] is not params or said[1] is not declared:
            return self._learnt(ctx, params, declared, version)
        return self._traits if said[2] == version else self._learnt(ctx, params, declared, version)

    def _learnt(self, ctx: Context, params: Any, declared: t.ClientCapabilities | None, version: str) -> ClientTraits:
        info = params.client_info if params is not None else None
        self._said = (params, declared, version)
        self._traits = ClientTraits(
            name=f"{info.name} {info.version}"[:200] if info is not None else "",
            asking=_asking(declared, version),
            abilities=abilities_of(declared, version),
            tasks=task_use(ctx),
        )
        return self._traits


def form_asker(ctx: Context) -> AskHuman:
    """Return how the human behind a 2025 client that takes forms is shown one."""

    async def ask(message: str, schema: dict[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
        # With the request's id the question travels on its own stream; without, over HTTP, it would need another.
        try:
            answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
        except MCPError as error:
            log.warning("a client could not show a question: %s", error)
            return "cancel", None
        return answer.action, answer.content

    return ask


def page_teller(ctx: Context) -> Callable[[str], Awaitable[None]] | None:
    """Return how a 2025 client is told that a page is done with, also when its call is over; `None` for others."""
    return ctx.session.send_elicit_complete if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS else None


def client_asker(ctx: Context) -> AskClient | None:
    """Return how a 2025 client is asked anything while its call waits; `None` for a client that cannot be."""
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None

    async def ask(request: t.InputRequest) -> t.InputResponse:
        # With the request's id the question travels on its own stream; without, over HTTP, it would need another.
        metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
        try:
            if isinstance(request, t.ElicitRequest):
                return await ctx.session.send_request(request, t.ElicitResult, metadata=metadata)
            if isinstance(request, t.ListRootsRequest):
                return await ctx.session.send_request(request, t.ListRootsResult, metadata=metadata)
            if request.params.tools or request.params.tool_choice is not None:
                return await ctx.session.send_request(request, t.CreateMessageResultWithTools, metadata=metadata)
            return await ctx.session.send_request(request, t.CreateMessageResult, metadata=metadata)
        except ValidationError as error:
            raise MCPError(t.INVALID_PARAMS, "the client's answer has the wrong form") from error

    return ask
