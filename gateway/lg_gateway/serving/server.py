"""Serves clients as one MCP server: both protocol revisions, one merged tool list, every call through the pipeline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import mcp_types as t
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opentelemetry import trace

from lg_gateway.calls.call import Call, Standing
from lg_gateway.calls.results import SERVER_ERROR, internal_failure, refusal
from lg_gateway.catalog.apps import only_for_pages, shows_pages
from lg_gateway.identity.authentication import caller_of_request
from lg_gateway.serving.advertising import INSTRUCTIONS, Advertising
from lg_gateway.serving.client_channel import (
    DEFAULT_LEVEL,
    LastClient,
    LogLevels,
    client_asker,
    form_asker,
    log_sender,
    page_teller,
    progress_of,
)
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.meta_tools import DISCOVER, RESULT, MetaTools
from lg_gateway.serving.meta_tools import NAMES as META_NAMES
from lg_gateway.serving.meta_tools import TOOLS as META_TOOLS
from lg_gateway.serving.offer_requests import OfferRequests, page_of
from lg_gateway.serving.subscriptions import Subscriptions
from lg_gateway.tasks.task_requests import TaskRequests
from lg_gateway.upstreams.replies import Answer, RelayedResult
from lg_policy.config.durations import seconds
from lg_policy.errors import LimitExceeded
from lg_policy.rules.rule_set import Kind
from lg_policy.version import __version__
from lg_policy.wire.call_metadata import run_fields
from lg_policy.wire.plain_calls import PlainHandlers, PlainServer, answered_before
from lg_policy.wire.tool_server import whole_arguments

log = logging.getLogger(__name__)

LIST_TTL_MS = 5_000
LISTS: tuple[Any, ...] = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")

OF_ONE_CONNECTION = (
    t.PARSE_ERROR,
    t.INVALID_REQUEST,
    t.METHOD_NOT_FOUND,
    t.CONNECTION_CLOSED,
    t.REQUEST_TIMEOUT,
    t.HEADER_MISMATCH,
    t.UNSUPPORTED_PROTOCOL_VERSION,
    t.URL_ELICITATION_REQUIRED,
)
"""Codes that say something about one connection, or that the gateway answers itself."""

Context = ServerRequestContext[Any, Any]


class GatewayServer(PlainServer):
    """The SDK's low-level server. It also announces list changes to clients of protocol 2025-11-25."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return the SDK's options with `listChanged` on: its HTTP manager asks without arguments."""
        chosen = notification_options or NotificationOptions(True, True, True)
        return super().create_initialization_options(chosen, experimental_capabilities, extensions)


class Frontend:
    """The handlers of one gateway. `identify` tells who is calling, from the transport alone; `standing` whether that
    still holds later. `session` names the one connection of a gateway on stdio. `subject` returns the caller's token,
    where it may be exchanged for others."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        identify: Callable[[Context], str],
        standing: Callable[[Context], Standing | None] = lambda _ctx: None,
        session: str = "",
        subject: Callable[[Context], str] = lambda _ctx: "",
    ) -> None:
        self._gateway = gateway
        self._session = session
        self._identify = identify
        self._standing = standing
        self._subject = subject
        self._log_levels = LogLevels()
        self._last_client = LastClient()
        self._meta = MetaTools(gateway.pipeline, gateway.store)
        self._offers = OfferRequests(gateway, identify=identify, make_call=self._call, answer=self._answer)
        self._advertising = Advertising(gateway, identify)
        self._tasks = TaskRequests(
            gateway.task_keeper,
            identify=identify,
            limit=gateway.pipeline.limiter.request,
            refuse_if_halted=gateway.halts.look_and_refuse,
        )
        self._subscriptions = Subscriptions(gateway, identify, self._advertising, self._tasks)
        self.listen = self._subscriptions.streams
        gateway.on_list_changed(self._subscriptions.lists_changed)
        gateway.on_resource_updated(self._subscriptions.resource_updated)

    def build(self) -> GatewayServer:
        """Return the server to be served."""
        server = GatewayServer(
            "lg-gateway",
            version=__version__,
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=cast(Any, self.call_tool),  # the SDK takes an extension's result too, and does not say so
            get_tool_input_schema=self._schema,
            cache_hints={method: CacheHint(ttl_ms=LIST_TTL_MS, scope="private") for method in LISTS},
            **self._offers.handlers(),
            **self._subscriptions.handlers(),
        )
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            server.middleware.clear()  # nobody collects spans
            # What is added below looks only at other requests than plain calls and lists.
            server.plain = PlainHandlers(call=self._plain_call, whose=self._identify)
        server.add_request_handler("logging/setLevel", t.SetLevelRequestParams, self.set_log_level)
        server.add_notification_handler("notifications/roots/list_changed", t.NotificationParams, self.roots_changed)
        server.middleware.append(whole_arguments)
        server.middleware.append(self._subscriptions.remember)
        self._tasks.attach(server)
        self._advertising.attach(server)
        settings = self._gateway.policy.settings.approval
        # The low level seals nothing by itself. One key per installation: any gateway of it may get the answer.
        lifetime = max(settings.live_timeout_s, seconds(settings.ttl, "approval.ttl"))
        security = RequestStateSecurity(keys=[self._gateway.setup.key("state")], ttl=lifetime)
        server.middleware.append(RequestStateBoundary(security, default_audience="lg-gateway"))
        return server

    async def list_tools(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        """Answer from memory: what this caller may know, sorted, in pages."""
        await self._gateway.listable()
        settings = self._gateway.policy.settings.gateway
        if settings.expose == "search":
            tools = list(META_TOOLS)
        else:
            known = self._gateway.pipeline.decisions.tools(self._identify(ctx))
            pages = shows_pages(ctx.session.client_capabilities)
            tools = [entry.listed for entry in known if pages or not only_for_pages(entry.source)]
            tools += [tool for tool in META_TOOLS if tool.name == RESULT]
            tools.sort(key=lambda tool: tool.name)
        items, cursor = page_of(tools, [tool.name for tool in tools], params, settings.tools_page_size)
        return t.ListToolsResult(tools=items, next_cursor=cursor)

    async def call_tool(
        self, ctx: Context, params: t.CallToolRequestParams
    ) -> t.CallToolResult | t.InputRequiredResult | dict[str, Any]:
        """Run the call through the pipeline. The text of an unexpected error does not reach the client."""
        known = answered_before.get()
        return await self._called(ctx, params, params.name, params.arguments or {}) if known is None else known

    async def _plain_call(self, ctx: Context, params: Mapping[str, Any]) -> Answer | dict[str, Any]:
        return await self._called(ctx, None, params["name"], params.get("arguments", {}))

    async def _called(
        self, ctx: Context, params: Any, name: str, arguments: Mapping[str, Any]
    ) -> Answer | dict[str, Any]:
        if name == DISCOVER or self._gateway.pipeline.decisions.meant(self._identify(ctx), Kind.TOOL, name)[1] is None:
            await self._gateway.settled()
        call = self._call(ctx, params, Kind.TOOL, name, dict(arguments))
        answer = await self._answer(call)
        _raise_servers_error(answer, call.meta)
        if isinstance(answer, RelayedResult) and answer.task is not None:
            return {"resultType": "task", **answer.task, "_meta": answer.meta or {}}
        return _for_era(answer, ctx.protocol_version)

    def _call(self, ctx: Context, params: Any, kind: Kind, name: str, arguments: dict[str, Any]) -> Call:
        if self._gateway.tracing is not None and ctx.request is not None:
            self._gateway.tracing.note_request(ctx.request)
        level, client = self._log_levels.of(ctx), self._last_client.of(ctx)
        return Call(
            identity=self._identify(ctx),
            client=client.name,
            kind=kind,
            name=name,
            arguments=arguments,
            meta=dict(ctx.meta or {}),
            progress=progress_of(ctx),
            input_responses=dict(responses) if (responses := getattr(params, "input_responses", None)) else None,
            request_state=getattr(params, "request_state", None),
            asking=client.asking,
            ask=form_asker(ctx) if client.asking == "live" else None,
            abilities=client.abilities,
            ask_client=client_asker(ctx),
            page_done=page_teller(ctx),
            tasks=client.tasks,
            logs=log_sender(ctx) if level is not None else None,
            log_level=level or DEFAULT_LEVEL,
            standing=self._standing(ctx),
            session=self._session,
            subject=partial(self._subject, ctx),
        )

    async def _answer(self, call: Call) -> Answer:
        """Answer a request. The text of an unexpected error does not reach the client."""
        try:
            return await self._within_limits(call)
        except MCPError:
            raise
        except Exception as error:  # noqa: BLE001  the outermost edge: an older client would be shown the text
            return internal_failure(error)

    async def set_log_level(self, ctx: Context, params: t.SetLevelRequestParams) -> t.EmptyResult:
        """Note from which level on a 2025 client wants log messages, and tell the servers of 2025."""
        try:
            with self._gateway.pipeline.limiter.request(self._identify(ctx)):
                await self._gateway.upstream_set.set_log_level(self._log_levels.set(ctx, params.level))
        except LimitExceeded as error:
            raise MCPError(t.INVALID_REQUEST, error.text()) from error
        return t.EmptyResult()

    async def roots_changed(self, ctx: Context, _params: t.NotificationParams) -> None:
        """Tell the servers that may ask for roots that a 2025 client has others now."""
        try:
            with self._gateway.pipeline.limiter.request(self._identify(ctx)):
                await self._gateway.upstream_set.roots_changed()
        except LimitExceeded as error:
            log.debug("a client's roots changed too often: %s", error)

    async def _within_limits(self, call: Call) -> Answer:
        """Answer a request within its caller's limit. Of a flood, the first refusal and a count are recorded."""
        limiter, recorder = self._gateway.pipeline.limiter, self._gateway.recorder
        try:
            with limiter.request(call.identity) as refused:
                if refused > 1:
                    await recorder.note("requests refused", f"{refused} requests over the limit", call.identity)
                own = call.kind is Kind.TOOL and call.name in META_NAMES
                return await (self._meta.run(call) if own else self._gateway.pipeline.run(call))
        except LimitExceeded as error:
            if limiter.refused(call.identity) == 1:
                await recorder.note("requests refused", error.message, call.identity)
            return refusal(error)

    def _schema(self, name: str) -> Mapping[str, Any] | None:
        own = next((tool.input_schema for tool in META_TOOLS if tool.name == name), None)
        if own is not None:
            return own
        # Asked before a request has a context: two callers may know two tools by one name.
        caller = caller_of_request() or self._gateway.setup.identity
        real = self._gateway.pipeline.decisions.real_name(caller, Kind.TOOL, name)
        return self._gateway.catalog.schema(real) if real is not None else None


def _raise_servers_error(answer: Answer, meta: Mapping[str, Any]) -> None:
    """Raise what a server answered with a protocol error of its own, with its code and its data.

    A run of `lg-orch` gets it as a failed result, which a model can read. So does everybody where the code speaks of
    the connection to the server: the client would take it for its own.
    """
    if not isinstance(answer, t.CallToolResult) or not answer.is_error:
        return
    error = (answer.meta or {}).get(SERVER_ERROR)
    if not isinstance(error, dict) or error.get("code") in OF_ONE_CONNECTION:
        return
    if not run_fields(meta):
        raise MCPError(error["code"], str(error.get("message")), error.get("data"))


def _for_era(
    answer: t.CallToolResult | t.InputRequiredResult, version: str
) -> t.CallToolResult | t.InputRequiredResult:
    """Drop structured content that a 2025 client cannot read: it takes only objects. The text says the same."""
    if version in MODERN_PROTOCOL_VERSIONS or not isinstance(answer, t.CallToolResult):
        return answer
    if answer.structured_content is None or isinstance(answer.structured_content, dict):
        return answer
    import json

    content = answer.content or [t.TextContent(type="text", text=json.dumps(answer.structured_content))]
    return answer.model_copy(update={"structured_content": None, "content": content})
