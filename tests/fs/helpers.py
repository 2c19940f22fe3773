"""A client of `lg-fs` over a directory, in memory; and trees to work on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import jsonschema
from mcp import Client
from mcp_types import CallToolResult, TextContent

from lg_fs.search.regex import compile_regex, is_joinable
from lg_fs.search.search import SearchRequest
from lg_fs.server.server import make_server
from lg_fs.server.startup import make_service
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from lg_policy.state import open_state


def write_tree(base: Path, files: Mapping[str, str | bytes]) -> None:
    """Create files with their directories; text is written as UTF-8 with its line breaks as they are."""
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read_tree(base: Path) -> dict[str, bytes]:
    """Every regular file below `base` with its content."""
    return {
        str(path.relative_to(base)): path.read_bytes()
        for path in sorted(base.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


class FsClient:
    """Calls tools and unpacks their results."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, CallToolResult)
        return result

    async def with_key(self, key: str, tool: str, **arguments: Any) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments, meta=cast("Any", {"lg/idempotency-key": key}))
        assert isinstance(result, CallToolResult)
        return result

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.is_error, text_of(result)
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def fails(self, tool: str, **arguments: Any) -> dict[str, str]:
        result = await self.call(tool, **arguments)
        assert result.is_error, text_of(result)
        assert isinstance(result.structured_content, dict)
        error = result.structured_content["error"]
        assert isinstance(error, dict)
        return error

    async def text(self, tool: str, **arguments: Any) -> str:
        return text_of(await self.call(tool, **arguments))


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@asynccontextmanager
async def fs_client(*roots: Path, settings: Mapping[str, Any] | None = None) -> AsyncIterator[FsClient]:
    """Serve the roots in memory; `settings` is a settings tree such as `{"fs": {"read_max_bytes": 100}}`."""
    with ExitStack() as stack:
        opened = [stack.enter_context(Root(path)) for path in roots]
        service = make_service(opened, Settings.model_validate(settings or {}), open_state(root=roots[0]).path)
        stack.callback(service.workers.close)
        async with Client(make_server(service)) as client:
            yield FsClient(client)


def search_request(regex: str, **changes: Any) -> SearchRequest:
    """The arguments of a search of everything, for tests that run one without a server."""
    multiline = changes.setdefault("multiline", False)
    given = {
        "regex": compile_regex(regex, case_sensitive=True, multiline=multiline),
        "joinable": is_joinable(regex),
        "path": "",
        "globs": None,
        "output": "matches",
        "context_lines": 0,
        "limit": 100,
        "cursor": None,
        "include_ignored": False,
        "raw": {},
    }
    return SearchRequest(**{**given, **changes})


def detailed(schema: dict[str, Any], items: list[dict[str, Any]]) -> None:
    """Check items against what the output schema says about them."""
    for item in items:
        jsonschema.Draft202012Validator(schema).validate(item)
