"""Serves a list of tools as an MCP server: validation, errors and metadata for all of our servers.

Built on the SDK's low-level server, because schemas, `_meta` and error results are part of our contract.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import anyio
import mcp_types as t
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opentelemetry import trace

from lg_policy.errors import Internal, InvalidArguments, LgError
from lg_policy.rules.predicates import compiled
from lg_policy.version import __version__
from lg_policy.wire.argument_repair import arguments_from_text, as_meant, only_object
from lg_policy.wire.call_metadata import idempotency_key, run_fields

log = logging.getLogger(__name__)

LIST_TTL_MS = 60_000
"""How long a client may cache the tool list: it changes only with a restart."""

T = TypeVar("T")
Lifespan = Callable[[Server[Any]], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a tool answers: text for a model to read, and the same as structured content."""

    text: str
    structured: dict[str, Any]
    is_error: bool = False


class CallContext:
    """What a handler may know about its call, and how it reports progress."""

    def __init__(self, context: ServerRequestContext[Any, Any]) -> None:
        self._session = context.session
        self._request = context.request
        self.meta: Mapping[str, Any] = context.meta or {}
        self.lifespan: Any = context.lifespan_context
        self.idempotency_key: str | None = idempotency_key(self.meta)

    @property
    def client(self) -> str:
        """Return a string that identifies this caller among others. It is not authenticated.

        The MCP session over HTTP where there is one, else the client's name and version; and the run, if it names one.
        Raises `InvalidArguments` for a malformed run.
        """
        session = self._request.headers.get("mcp-session-id") if self._request is not None else None
        who = self._session.client_params.client_info if self._session.client_params is not None else None
        run = run_fields(self.meta).get("run_id", "")
        return f"{session or (f'{who.name} {who.version}' if who is not None else '')}\n{run}"

    async def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress; nothing is sent if the client did not ask for it. `done` must grow from call to call."""
        await self._session.report_progress(done, total, message)

    async def while_connected(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do long work, and cancel it when the HTTP client of this call has closed its connection.

        Calls of the 2026 revision are cancelled by the SDK then, those over stdio when the stream ends. Older HTTP
        clients could resume, but only from a store of events, which our servers do not keep: nobody would ever read
        the answer. Raises what `work` raises, and `Internal`, which no client reads, when the client has gone.
        """
        request = self._request
        if request is None:
            return await work()
        done: list[T] = []
        refused: LgError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after_disconnect, request, group.cancel_scope)
            try:
                done.append(await work())
            except LgError as error:
                refused = error
            group.cancel_scope.cancel()
        if refused is not None:
            raise refused
        if not done:
            raise Internal("the client closed its connection during the call")
        return done[0]


async def _cancel_after_disconnect(request: Any, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
    scope.cancel()


Handler = Callable[[dict[str, Any], CallContext], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True)
class ToolDef:
    """One tool: its MCP definition and the coroutine that does the work with validated arguments."""

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    handler: Handler
    annotations: t.ToolAnnotations
    meta: dict[str, Any] = field(default_factory=dict)
    adapt: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Corrects arguments in the wrong form before the schema is checked. May raise `LgError`."""

    def definition(self) -> t.Tool:
        """Return the definition that clients see."""
        return t.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.input_schema,
            output_schema=self.output_schema,
            annotations=self.annotations,
            _meta=self.meta or None,
        )


def without_nulls(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that are null: many models send null for what they leave out."""
    return {key: value for key, value in arguments.items() if value is not None}


class Toolbox:
    """The tools of one server, with a validator compiled for each."""

    def __init__(self, tools: Iterable[ToolDef]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._validators = {name: Draft202012Validator(tool.input_schema) for name, tool in self._tools.items()}
        self._fitting = {name: compiled(tool.input_schema, re.compile) for name, tool in self._tools.items()}
        self._list = t.ListToolsResult(tools=[self._tools[name].definition() for name in sorted(self._tools)])

    def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a tool's input schema; the SDK asks for it on each HTTP call."""
        tool = self._tools.get(name)
        return tool.input_schema if tool else None

    async def list_tools(
        self, _context: ServerRequestContext[Any, Any], _params: t.PaginatedRequestParams | None
    ) -> t.ListToolsResult:
        """Answer `tools/list`."""
        return self._list

    async def call_tool(
        self, context: ServerRequestContext[Any, Any], params: t.CallToolRequestParams
    ) -> dict[str, Any]:
        """Answer `tools/call`; every refusal and failure is an error result with a code."""
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {params.name}")
        reply = await self._reply(tool, as_meant(tool.input_schema, params.arguments or {}), context)
        return _wire(reply, modern=context.protocol_version in MODERN_PROTOCOL_VERSIONS)

    async def _reply(self, tool: ToolDef, arguments: dict[str, Any], context: ServerRequestContext[Any, Any]) -> Reply:
        try:
            if tool.adapt is not None:
                arguments = tool.adapt(arguments)
            self._check(tool, arguments)
            return await tool.handler(arguments, CallContext(context))
        except LgError as error:
            return _refusal(error)
        except Exception:  # the edge of the program: the client gets a code, the log the trace
            log.exception("%s failed", tool.name)
            return _refusal(Internal(f"{tool.name} failed unexpectedly", hint="the server's log has the details"))

    def _check(self, tool: ToolDef, arguments: dict[str, Any]) -> None:
        """Raise `InvalidArguments` unless the arguments fit. Valid ones take a fast path."""
        fits = self._fitting[tool.name]
        if fits is not None and fits(arguments):
            return
        problem = best_match(self._validators[tool.name].iter_errors(arguments))
        if problem is not None:
            raise invalid_arguments(problem, tool.input_schema)


def build_server(
    name: str, tools: Sequence[ToolDef], *, instructions: str, lifespan: Lifespan | None = None, **handlers: Any
) -> Server[Any]:
    """Return a low-level server for `tools`. `handlers` are further `on_*` arguments of `mcp.server.Server`."""
    box = Toolbox(tools)
    if lifespan is not None:
        handlers["lifespan"] = lifespan
    hints = {"tools/list": CacheHint(ttl_ms=LIST_TTL_MS, scope="private")}
    server: Server[Any] = Server(
        name,
        version=__version__,
        instructions=instructions,
        on_list_tools=box.list_tools,
        on_call_tool=box.call_tool,  # type: ignore[arg-type]  # the wire form of a result is taken as well
        get_tool_input_schema=box.schema,
        cache_hints=hints,  # type: ignore[arg-type]  # the literal key type is private to the SDK
        **handlers,
    )
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        # Nobody collects spans: making them would be a seventh of the work of a small call.
        server.middleware.clear()
    server.middleware.append(whole_arguments)
    return server


async def whole_arguments(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Take the arguments of a call from JSON text, from a list with one object, or from an empty text.

    Raises an error that they must be an object.
    """
    given = ctx.params.get("arguments") if ctx.method == "tools/call" and ctx.params else None
    if not isinstance(given, str | list):
        return await call_next(ctx)
    arguments = arguments_from_text(given) if isinstance(given, str) else only_object(given)
    if arguments is None:
        raise MCPError(
            t.INVALID_PARAMS, 'arguments must be a JSON object, such as {"path": "a.txt"}, and no text or list'
        )
    return await call_next(replace(ctx, params={**(ctx.params or {}), "arguments": arguments}))


def _refusal(error: LgError) -> Reply:
    return Reply(text=error.text(), structured={"error": error.payload()}, is_error=True)


def _wire(reply: Reply, *, modern: bool) -> dict[str, Any]:
    """Return the result as it is sent. The SDK checks it, but need not convert it to models and back."""
    result = {
        "content": [{"type": "text", "text": reply.text}],
        "structuredContent": reply.structured,
        "isError": reply.is_error,
    }
    return {"resultType": "complete", **result} if modern else result


def invalid_arguments(problem: ValidationError, schema: Mapping[str, Any]) -> InvalidArguments:
    """Return an error that says what is wrong with the arguments and what would be right."""
    place = ".".join(str(part) for part in problem.absolute_path) or "arguments"
    message = f"{place}: {problem.message}"
    if len(message) > 500:
        message = message[:500] + "…"
    known = schema.get("properties", {})
    hint = ""
    if problem.validator in ("additionalProperties", "required") and not problem.absolute_path:
        needed = schema.get("required", [])
        hint = "arguments: " + ", ".join(f"{key} (required)" if key in needed else key for key in known)
    elif isinstance(problem.schema, Mapping) and problem.schema.get("description"):
        hint = str(problem.schema["description"])
    return InvalidArguments(message, hint=hint)
