"""A client of `lg-code` over a directory, in memory; and an index without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
from mcp import Client
from mcp_types import CallToolResult, TextContent

from lg_code.index.index import Index, what_is_indexed
from lg_code.index.parts import IndexPart
from lg_code.search.terms import SearchTerms
from lg_code.server.server import make_server
from lg_code.server.startup import make_service
from lg_policy.config.settings import Settings
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace


class CodeClient:
    """Calls tools and unpacks their results."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, CallToolResult)
        return result

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.is_error, text_of(result)
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def text(self, tool: str, **arguments: Any) -> str:
        result = await self.call(tool, **arguments)
        assert not result.is_error, text_of(result)
        return text_of(result)

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert result.is_error, text_of(result)
        assert isinstance(result.structured_content, dict)
        error: dict[str, Any] = result.structured_content["error"]
        return error


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def settings_of(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


@asynccontextmanager
async def code_client(
    *roots: Path, state: Path | None = None, settings: Settings | None = None
) -> AsyncIterator[CodeClient]:
    """A client of a server in this process. Its results are checked against the schemas that it lists."""
    settings = settings or Settings()
    state = state or roots[0].parent / "code-state"
    with ExitStack() as stack:
        opened = [stack.enter_context(Root(root)) for root in roots]
        service = make_service(opened, settings, state)
        stack.callback(service.close)
        async with Client(make_server(service)) as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            yield _Checked(client, {name: tool.output_schema or {} for name, tool in listed.items()})


class _Checked(CodeClient):
    def __init__(self, client: Client, schemas: dict[str, Any]) -> None:
        super().__init__(client)
        self._schemas = schemas

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await super().call(tool, **arguments)
        jsonschema.validate(result.structured_content, self._schemas[tool])
        return result


@contextmanager
def index_of(
    root: Path,
    state: Path | None = None,
    settings: Settings | None = None,
    part: IndexPart | None = None,
    afterwards: Callable[[Index, Job], None] | None = None,
) -> Iterator[Index]:
    """An index of a directory, without a server."""
    settings = settings or Settings()
    with Root(root) as opened:
        workspace = Workspace([opened], FileRules.from_settings(settings.policy), settings.fs)
        what = what_is_indexed(workspace, settings.policy, ())
        state = state or root.parent / "code-state"
        index = Index(workspace, state, settings.code, what, (part or SearchTerms(),), afterwards)
        try:
            yield index
        finally:
            index.close()


def job() -> Job:
    return Job(120)
