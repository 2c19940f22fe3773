"""Answers the requests about resources and prompts: lists from memory, reads through the pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_gateway.calls.call import Call, CompletedArgument
from lg_gateway.calls.offer_answers import Final, completion_answer, not_found, offer_answer
from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.replies import Answer
from lg_policy.rules.rule_set import Kind

Context = ServerRequestContext[Any, Any]
MakeCall = Callable[[Context, Any, Kind, str, dict[str, Any]], Call]
Listed = TypeVar("Listed")


class OfferRequests:
    """The handlers. `make_call` reads who calls and how to ask; `answer` runs a call within its caller's limits."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        identify: Callable[[Context], str],
        make_call: MakeCall,
        answer: Callable[[Call], Awaitable[Answer]],
    ) -> None:
        self._gateway = gateway
        self._identify = identify
        self._make_call = make_call
        self._answer = answer

    def handlers(self) -> dict[str, Any]:
        """Return the arguments of `mcp.server.Server` that register these handlers."""
        return {
            "on_list_resources": self.list_resources,
            "on_list_resource_templates": self.list_templates,
            "on_read_resource": self.read_resource,
            "on_list_prompts": self.list_prompts,
            "on_get_prompt": self.get_prompt,
            "on_completion": self.complete,
        }

    async def list_resources(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        """List the resources that this caller may know, by address."""
        seen = await self._seen(ctx, self._gateway.catalog.offers.resources)
        items, cursor = self._page(seen, [item.uri for item in seen], params)
        return t.ListResourcesResult(resources=items, next_cursor=cursor)

    async def list_templates(
        self, ctx: Context, params: t.PaginatedRequestParams | None
    ) -> t.ListResourceTemplatesResult:
        """List the templates of addresses that this caller may know."""
        seen = await self._seen(ctx, self._gateway.catalog.offers.templates)
        items, cursor = self._page(seen, [item.uri_template for item in seen], params)
        return t.ListResourceTemplatesResult(resource_templates=items, next_cursor=cursor)

    async def list_prompts(self, ctx: Context, params: t.PaginatedRequestParams | None) -> t.ListPromptsResult:
        """List the prompts that this caller may know."""
        seen = await self._seen(ctx, self._gateway.catalog.offers.prompts)
        items, cursor = self._page(seen, [item.name for item in seen], params)
        return t.ListPromptsResult(prompts=items, next_cursor=cursor)

    async def read_resource(
        self, ctx: Context, params: t.ReadResourceRequestParams
    ) -> t.ReadResourceResult | t.InputRequiredResult:
        """Read a resource, listed or not, by its address."""
        answer: Any = await self._run(self._make_call(ctx, params, Kind.RESOURCE, str(params.uri), {}), ctx)
        return answer  # type: ignore[no-any-return]  # what it is follows from the kind

    async def get_prompt(
        self, ctx: Context, params: t.GetPromptRequestParams
    ) -> t.GetPromptResult | t.InputRequiredResult:
        """Get a prompt."""
        arguments = dict(params.arguments or {})
        answer: Any = await self._run(self._make_call(ctx, params, Kind.PROMPT, params.name, arguments), ctx)
        return answer  # type: ignore[no-any-return]  # what it is follows from the kind

    async def complete(self, ctx: Context, params: t.CompleteRequestParams) -> t.CompleteResult:
        """Complete an argument of a prompt, or of a template of resources."""
        ref = params.ref
        kind, name = (Kind.PROMPT, ref.name) if isinstance(ref, t.PromptReference) else (Kind.RESOURCE, ref.uri)
        context = (params.context.arguments if params.context is not None else None) or {}
        argument = CompletedArgument(name=params.argument.name, value=params.argument.value, context=context)
        call = replace(self._make_call(ctx, params, kind, name, {}), completes=argument)
        answer = await self._answered(call, modern=ctx.protocol_version in MODERN_PROTOCOL_VERSIONS)
        if isinstance(answer, t.InputRequiredResult):
            raise MCPError(t.INTERNAL_ERROR, "a completion cannot ask")
        return completion_answer(answer, name)

    async def _run(self, call: Call, ctx: Context) -> Final | t.InputRequiredResult:
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        answer = await self._answered(call, modern=modern)
        if isinstance(answer, t.InputRequiredResult):
            return answer
        return offer_answer(answer, call.kind, call.name, modern=modern)

    async def _answered(self, call: Call, *, modern: bool) -> Answer:
        if self._gateway.catalog.look_up(call.kind, call.name) is None:
            await self._gateway.settled()
        try:
            return await self._answer(call)
        except MCPError:
            raise not_found(call.kind, call.name, modern=modern) from None

    async def _seen(self, ctx: Context, items: Callable[[], Any]) -> list[Any]:
        await self._gateway.listable()
        return self._gateway.pipeline.decisions.offered(self._identify(ctx), items())

    def _page(
        self, items: list[Listed], names: Sequence[str], params: t.PaginatedRequestParams | None
    ) -> tuple[list[Listed], str | None]:
        return page_of(items, names, params, self._gateway.policy.settings.gateway.tools_page_size)


def page_of(
    items: list[Listed], names: Sequence[str], params: t.PaginatedRequestParams | None, length: int
) -> tuple[list[Listed], str | None]:
    """Return one page and the cursor of the next.

    The cursor names the list it belongs to: raises `MCPError` -32602 once that has changed.
    """
    mark = hashlib.sha256("\0".join(names).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    cursor = params.cursor if params is not None else None
    offset = 0
    if cursor is not None:
        named, _, number = cursor.partition(":")
        if named != mark or not number.isdecimal() or int(number) >= len(items):
            raise MCPError(t.INVALID_PARAMS, "Invalid cursor")
        offset = int(number)
    end = offset + length
    return items[offset:end], f"{mark}:{end}" if end < len(items) else None
