"""A gateway in memory: a real MCP server behind the real adapter, with tools that answer from dictionaries."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
from mcp.server import Server
from mcp.shared.memory import create_client_server_memory_streams

from lg_orch.tools.connection import Connection
from lg_orch.tools.gateway import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ROOT_ID = "00112233aabbccdd"
TOTALS = {
    "files": 2, "bytes": 30, "lines": 4, "directories": 0, "binary_files": 0, "skipped": 0, "depth": None,
    "partial": None, "extensions": [{"extension": "py", "files": 2, "bytes": 30, "lines": 4}],
    "rows": [{"directory": "", "extension": "py", "files": 2, "bytes": 30, "lines": 4}],
}  # fmt: skip

Handler = "Callable[[dict[str, Any]], Awaitable[t.CallToolResult]]"


def text_result(text: str, structured: dict[str, Any] | None = None) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(type="text", text=text)], structured_content=structured)


def error_result(code: str, message: str) -> t.CallToolResult:
    error = {"error": {"code": code, "message": message, "hint": ""}}
    content: list[t.ContentBlock] = [t.TextContent(type="text", text=f"{code}: {message}")]
    return t.CallToolResult(content=content, structured_content=error, is_error=True)


@dataclass
class FakeGateway:
    """`answers[tool]` is a result, or a list of results used up one by one; `calls` keeps what arrived."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[t.CallToolRequestParams] = field(default_factory=list)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    on_call: Callable[[str], Awaitable[None]] | None = None
    progress: tuple[float, float, str] | None = None

    def __post_init__(self) -> None:
        for name in ("fs__read_file", "fs__list_files", "fs__search_files"):
            self.tools.setdefault(name, {"read_only": True, "meta": {"lg/root": {"id": ROOT_ID, "name": "repo"}}})
        self.tools.setdefault("exec__exec", {"read_only": False, "meta": {
            "lg/root": {"id": ROOT_ID, "name": "repo"}, "lg/sandbox": {"active": True, "backend": "test"},
        }})  # fmt: skip

    def _answer(self, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
        arguments = params.arguments or {}
        if params.name == "fs__list_files" and arguments.get("totals"):
            return text_result("totals", {"entries": [], "truncated": False, "next_cursor": None, "totals": TOTALS})
        known = self.answers.get(params.name)
        if isinstance(known, list):
            known = known.pop(0) if known else None
        if isinstance(known, t.CallToolResult):
            return known
        if params.name == "fs__list_files":
            entries = [{"path": "a.py", "type": "file", "size": 10, "mtime": 0}]
            return text_result("a.py", {"entries": entries, "truncated": False, "next_cursor": None, "totals": None})
        if params.name == "fs__read_file" and str(arguments.get("path", "")).startswith(".git/"):
            return error_result("not_found", "no .git")
        return text_result(f"{params.name} answered")

    def server(self) -> Server[Any]:
        async def list_tools(_ctx: Any, _params: Any) -> t.ListToolsResult:
            return t.ListToolsResult(tools=[
                t.Tool(
                    name=name, description=name, input_schema={"type": "object"},
                    annotations=t.ToolAnnotations(read_only_hint=facts["read_only"]), _meta=facts["meta"],
                )
                for name, facts in self.tools.items()
            ])  # fmt: skip

        async def call_tool(ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
            self.calls.append(params)
            if self.progress is not None:
                await ctx.session.report_progress(*self.progress)
            if self.on_call is not None:
                await self.on_call(params.name)
            return self._answer(params)

        return Server("fake-gateway", version="1", on_list_tools=list_tools, on_call_tool=call_tool)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        server = self.server()
        async with create_client_server_memory_streams() as (client, (read, write)), anyio.create_task_group() as group:
            group.start_soon(lambda: server.run(read, write, server.create_initialization_options()))
            async with connect(client) as connection:
                yield connection
            group.cancel_scope.cancel()
