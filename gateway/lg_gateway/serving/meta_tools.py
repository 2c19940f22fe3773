"""Provides the gateway's own tools: find tools, call a tool that was found, read the rest of a cut answer.

With `gateway.expose = "search"` a client is shown only these. Policy, approval, ledger and pins act on the inner tool.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.call import Call
from lg_gateway.calls.in_thread import in_thread_if_large
from lg_gateway.calls.pipeline import Pipeline
from lg_gateway.calls.results import refusal
from lg_gateway.catalog.apps import only_for_pages
from lg_gateway.catalog.catalog import CatalogEntry
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.catalog.search import Index
from lg_gateway.store.interface import Store, StoreError
from lg_gateway.upstreams.replies import Answer
from lg_policy.errors import Internal, InvalidArguments, LgError, NotFound
from lg_policy.wire.argument_repair import as_meant

DISCOVER, EXECUTE, RESULT = "mcp_discover", "mcp_execute", "mcp_result"
HITS, HITS_MAX = 8, 50
DETAILS = "lg/details"
"""In a call's `_meta`: the caller is a program that wants annotations and metadata of the tools too."""
READ_CHARACTERS = 50_000


def _schema(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_READS = t.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
TOOLS = (
    t.Tool(
        name=DISCOVER,
        title="Find tools",
        description="Find tools by what they do. Returns names, descriptions and argument schemas, best match first; "
        f"call one with {EXECUTE}. Without a query it lists all, page by page.",
        input_schema=_schema(
            [],
            query=_TEXT | {"description": "words: what the tool should do"},
            server=_TEXT | {"description": "only tools of this server"},
            limit={"type": "integer", "minimum": 1, "maximum": HITS_MAX, "default": HITS},
            offset=_COUNT | {"description": "hits to leave out, to see the next page"},
        ),
        annotations=_READS,
    ),
    t.Tool(
        name=EXECUTE,
        title="Call a tool",
        description=f"Call a tool by a name that {DISCOVER} returned, with arguments that fit its schema.",
        input_schema=_schema(["tool", "arguments"], tool=_TEXT, arguments={"type": "object"}),
    ),
    t.Tool(
        name=RESULT,
        title="Read on in a cut answer",
        description="Read more of an answer that was cut, by the result_id that it carries. Offsets are characters.",
        input_schema=_schema(
            ["result_id"],
            result_id=_TEXT,
            offset=_COUNT,
            limit={"type": "integer", "minimum": 1, "maximum": READ_CHARACTERS},
        ),
        annotations=_READS,
    ),
)
NAMES = frozenset(tool.name for tool in TOOLS)


def _compact(schema: Any) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _found(hit: CatalogEntry, *, whole: bool) -> dict[str, Any]:
    """What a hit says of its tool; `whole` adds what a listing tells programs and no model needs."""
    brief = {
        "name": hit.profile_name or hit.name,
        "description": hit.listed.description,
        "inputSchema": hit.listed.input_schema,
    }
    if not whole:
        return brief
    listed = hit.listed.model_dump(mode="json", by_alias=True, exclude_none=True)
    return brief | {key: listed[key] for key in ("annotations", "_meta") if key in listed}


class MetaTools:
    """Answers calls of the gateway's own tools."""

    def __init__(self, pipeline: Pipeline, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._pipeline = pipeline
        self._store = store
        self._clock = clock
        self._checks = {tool.name: ArgumentCheck(tool.input_schema) for tool in TOOLS}
        self._index: tuple[tuple[CatalogEntry, ...], Index] = ((), Index(()))

    async def run(self, call: Call) -> Answer:
        """Answer one call; every refusal is a result with a code."""
        try:
            schema = next(tool.input_schema for tool in TOOLS if tool.name == call.name)
            call = replace(call, arguments=await in_thread_if_large(call.arguments, as_meant, schema, call.arguments))
            self._checks[call.name].check(call.arguments)
            if call.name == DISCOVER:
                return await self._discover(call)
            if call.name == EXECUTE:
                return await self._execute(call)
            return await self._read_on(call)
        except StoreError:
            return refusal(Internal("the kept answers cannot be read"))
        except LgError as error:
            return refusal(error)

    async def _discover(self, call: Call) -> t.CallToolResult:
        # Searching only what this caller may see: neither hits nor their order tell of anything else.
        known = self._pipeline.decisions.tools(call.identity)
        entries = tuple(entry for entry in known if not only_for_pages(entry.source))
        if self._index[0] != entries:
            self._index = (entries, await in_thread_if_large([entry.listed for entry in entries], Index, entries))
        server = call.arguments.get("server")
        hits = self._index[1].find(call.arguments.get("query", ""))
        hits = [entry for entry in hits if server in (None, entry.server.name)]
        start, count = call.arguments.get("offset", 0), call.arguments.get("limit", HITS)
        page = hits[start : start + count]
        following = start + count if start + count < len(hits) else None
        tools = [_found(hit, whole=call.meta.get(DETAILS) is True) for hit in page]
        lines = [f"{tool['name']}: {tool['description']}\narguments: {_compact(tool['inputSchema'])}" for tool in tools]
        rest = f"{len(hits)} tools match" + (f"; see more with offset={following}" if following else "")
        structured = {"tools": tools, "total": len(hits), "next_offset": following}
        text = "\n\n".join([*lines, rest])
        return t.CallToolResult(content=[t.TextContent(type="text", text=text)], structured_content=structured)

    async def _execute(self, call: Call) -> Answer:
        name = str(call.arguments["tool"])
        if name in NAMES:
            raise InvalidArguments(f"call {name} itself, not through {EXECUTE}")
        try:
            return await self._pipeline.run(replace(call, name=name, arguments=dict(call.arguments["arguments"])))
        except MCPError as error:
            raise NotFound(error.message, hint=f"find names with {DISCOVER}") from error

    async def _read_on(self, call: Call) -> t.CallToolResult:
        arguments = call.arguments
        piece = await self._store.read(
            lambda tx: self._pipeline.kept_results.read(
                tx,
                call.identity,
                str(arguments["result_id"]),
                offset=arguments.get("offset", 0),
                limit=arguments.get("limit", READ_CHARACTERS),
                now=self._clock(),
            )
        )
        structured: dict[str, Any] = {"offset": piece.offset, "total": piece.total, "next_offset": piece.next_offset}
        note = f"\n[cut: read on with offset={piece.next_offset}]" if piece.next_offset is not None else ""
        return t.CallToolResult(
            content=[t.TextContent(type="text", text=piece.text + note)],
            structured_content=structured,
            _meta=None if piece.trusted else {"lg/untrusted": True},  # what a stranger wrote is read on as data
        )
