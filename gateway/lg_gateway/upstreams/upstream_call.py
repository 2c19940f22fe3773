"""One call to a server: what is sent, and over which way. Of a tool, a resource, a prompt or a completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, cast

import anyio
import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import TypeAdapter

from lg_gateway.upstreams.client_side.caller_capabilities import current_capabilities
from lg_gateway.upstreams.client_side.log_messages import LogMessages
from lg_gateway.upstreams.connection import Direct
from lg_gateway.upstreams.direct_http import NotDirect
from lg_gateway.upstreams.progress import Progress
from lg_gateway.upstreams.question_routing import OnQuestion
from lg_gateway.upstreams.replies import Answer, Reply
from lg_policy.rules.rule_set import Kind


class Copied:
    """Copies of frozen data: `dataclasses.replace` takes ten times as long."""

    def but(self, **changes: Any) -> Self:
        """Return a copy with changes."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        return made


@dataclass(frozen=True, kw_only=True)
class UpstreamCall(Copied):
    """One call to send. `repeatable`: doing it twice does no harm, so it may simply be repeated if it is lost."""

    tool: str
    """The name of the tool or prompt, or the URI of the resource."""
    arguments: dict[str, Any]
    meta: dict[str, Any]
    timeout_s: float
    repeatable: bool
    kind: Kind = Kind.TOOL
    progress: Progress | None = None
    input_responses: dict[str, Any] | None = None
    request_state: str | None = None
    capabilities: Mapping[str, Any] | None = None
    """What its client can answer, as a 2026 server is told; `None`: whatever the gateway can."""
    as_task: bool = False
    """Whether its server may make a task of it (2026), or is to make it as one (2025)."""
    logs: LogMessages | None = None
    """Gets the server's log messages."""
    on_question: OnQuestion | None = None
    """Answers a question that a 2025 server asks while the call runs. Without it, every question is cancelled."""

    @property
    def plain(self) -> bool:
        """Whether it is one request and one answer, without rounds."""
        return self.kind is Kind.TOOL and self.input_responses is None and self.request_state is None

    async def send(self, client: Client, direct: Direct | None, reply: Reply, timeout_s: float | None) -> Answer | None:
        """Send it over the direct way where that can carry it, else through the SDK's session.

        Return what the SDK made of the answer, or an answer that asks for input; `reply` has the rest.
        """
        token = current_capabilities.set(self.capabilities)
        try:
            if self.logs is None:
                return await self._sent(client, direct, reply, timeout_s)
            reply.logs = self.logs
            async with self.logs.delivered():
                return await self._sent(client, direct, reply, timeout_s)
        finally:
            current_capabilities.reset(token)

    async def _sent(
        self, client: Client, direct: Direct | None, reply: Reply, timeout_s: float | None
    ) -> Answer | None:
        meta = self.meta
        modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
        if self.logs is not None and modern:
            meta = {**meta, t.LOG_LEVEL_META_KEY: self.logs.level}
        if direct is not None and direct.usable and self.plain and (modern or not self.as_task):
            reply.progress = self.progress
            try:
                return await direct.call(self.tool, self.arguments, meta, reply, timeout_s)
            except NotDirect:
                reply.ended = reply.progress = None
        # The session's own clock starts once the server has taken the request in.
        with anyio.move_on_after(timeout_s):
            if self.kind is not Kind.TOOL or (self.as_task and not modern):
                return await self._send_request(client, timeout_s, meta)
            return await client.session.call_tool(
                self.tool,
                self.arguments,
                read_timeout_seconds=timeout_s,
                progress_callback=self.progress,
                input_responses=cast(Any, self.input_responses),
                request_state=self.request_state,
                meta=cast(Any, meta or None),
                allow_input_required=True,
            )
        raise MCPError(t.REQUEST_TIMEOUT, "the request timed out")

    async def _send_request(
        self, client: Client, timeout_s: float | None, meta: Mapping[str, Any]
    ) -> t.InputRequiredResult | None:
        """Send what is no tool call. The SDK gets an empty result and `reply` the real one."""
        given: dict[str, Any] = {
            "input_responses": self.input_responses,
            "request_state": self.request_state,
            "_meta": dict(meta) or None,
        }
        request: t.ReadResourceRequest | t.GetPromptRequest | t.CompleteRequest | t.CallToolRequest
        if self.kind is Kind.TOOL:
            called = t.CallToolRequestParams(name=self.tool, arguments=self.arguments, task=t.TaskMetadata(), **given)
            request = t.CallToolRequest(params=called)
        elif self.kind is Kind.COMPLETION:
            request = self._completion(meta)
        elif self.kind is Kind.RESOURCE:
            request = t.ReadResourceRequest(params=t.ReadResourceRequestParams(uri=self.tool, **given))
        else:
            arguments = self.arguments.get("arguments") or None
            request = t.GetPromptRequest(params=t.GetPromptRequestParams(name=self.tool, arguments=arguments, **given))
        answer: Any = await client.session.send_request(
            request, _answers(), request_read_timeout_seconds=timeout_s, progress_callback=self.progress
        )
        return answer if isinstance(answer, t.InputRequiredResult) else None

    def _completion(self, meta: Mapping[str, Any]) -> t.CompleteRequest:
        arguments, ref = self.arguments, t.PromptReference(type="ref/prompt", name=self.tool)
        params = t.CompleteRequestParams(
            ref=t.ResourceTemplateReference(type="ref/resource", uri=self.tool) if "uri" in arguments else ref,
            argument=t.CompletionArgument(**arguments["argument"]),
            context=t.CompletionContext(arguments=arguments["context"]) if arguments.get("context") else None,
            _meta=cast(Any, dict(meta) or None),
        )
        return t.CompleteRequest(params=params)


@cache
def _answers() -> TypeAdapter[Any]:
    own = t.ReadResourceResult | t.GetPromptResult | t.CompleteResult
    return TypeAdapter(t.InputRequiredResult | t.CallToolResult | own)
