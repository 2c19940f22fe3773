"""Plain calls and answers that go past the SDK's models: nobody must be able to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.runner import ServerRunner
from mcp.shared.exceptions import MCPError
from mcp.shared.transport_context import TransportContext
from pydantic import ValidationError
from pydantic_core import to_json

from lg_policy.wire.plain_calls import (
    PAGES_BYTES,
    CallersPages,
    ListPages,
    PlainHandlers,
    PlainServer,
    answer_of,
    answered_before,
)

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("era", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"])
ABOUT = {t.CLIENT_INFO_META_KEY: {"name": "tester", "version": "1"}, t.CLIENT_CAPABILITIES_META_KEY: {}}


@dataclass(eq=False)
class Request:
    """The dispatch context of one request."""

    request_id: int = 1
    message_metadata: None = None
    can_send_request: bool = False
    transport: TransportContext = field(
        default_factory=lambda: TransportContext(kind="jsonrpc", can_send_request=False)
    )
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)


class Kernel:
    """One server twice: with its handlers for plain requests, and without."""

    def __init__(self, era: str) -> None:
        self.era = era
        self.seen: list[Any] = []
        self.answer: Any = t.CallToolResult(content=[])
        self.plain, self.usual = (self._runner(plain=plain) for plain in (True, False))

    def _runner(self, *, plain: bool) -> ServerRunner[Any]:
        async def by_sdk(_ctx: Any, params: t.CallToolRequestParams) -> Any:
            known = answered_before.get()
            return known if known is not None else await self._called(params.name, params.arguments or {}, _ctx)

        async def past(ctx: ServerRequestContext[Any, Any], params: Mapping[str, Any]) -> Any:
            return await self._called(params["name"], params.get("arguments", {}), ctx)

        server = PlainServer("plain", version="1", on_call_tool=by_sdk)
        server.middleware.clear()
        if plain:
            server.plain = PlainHandlers(call=past, whose=lambda ctx: str((ctx.meta or {}).get("progressToken")))
        connection = Connection.from_envelope(self.era, *ABOUT.values())
        return ServerRunner(server, connection, None)

    async def _called(self, name: str, arguments: Mapping[str, Any], ctx: Any) -> Any:
        meta = {key: value for key, value in (ctx.meta or {}).items() if key not in ("progressToken", "progress_token")}
        self.seen.append((name, dict(arguments), meta))
        return self.answer

    async def both(self, params: dict[str, Any]) -> tuple[Any, Any]:
        """Return what each makes of a call: what its handler saw, and the bytes or the error."""
        stamp = {t.PROTOCOL_VERSION_META_KEY: self.era, **ABOUT} if self.era.startswith("2026") else {}
        if isinstance(params.get("_meta", {}), dict):
            params = {**params, "_meta": {**stamp, **params.get("_meta", {})}}
        return await self._one(self.plain, params), await self._one(self.usual, params)

    async def _one(self, runner: ServerRunner[Any], params: dict[str, Any]) -> Any:
        self.seen = []
        try:
            made: Any = to_json(await answer_of(runner, Request(), "tools/call", params))
        except (MCPError, ValidationError) as error:
            made = type(error).__name__
        return made, self.seen


REQUESTS: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "a", "arguments": {}},
    {"name": "a", "arguments": None},
    {"name": "a", "arguments": {"x": None, "y": [1, {"z": 2.5}]}},
    {"name": "a", "arguments": []},
    {"name": "a", "arguments": "x"},
    {"name": 1},
    {},
    {"name": "\u00e4", "arguments": {"\u00f6": 1}},
    {"name": "\ud800"},
    {"name": "a", "arguments": {"\ud800": 1}},
    {"name": "a", "_meta": {"progressToken": 1}},
    {"name": "a", "_meta": {"progressToken": True}},
    {"name": "a", "_meta": {"progressToken": [1]}},
    {"name": "a", "_meta": {"traceparent": "x", "lg/run": {"run_id": "r"}, "baggage": 7}},
    {"name": "a", "_meta": {t.LOG_LEVEL_META_KEY: "info"}},
    {"name": "a", "_meta": {t.LOG_LEVEL_META_KEY: "loud"}},
    {"name": "a", "_meta": {"io.modelcontextprotocol/unknown": 1}},
    {"name": "a", "requestState": "x"},
    {"name": "a", "inputResponses": {}},
    {"name": "a", "task": {"ttl": 1}},
]


@ERAS
async def test_a_call_is_seen_and_answered_as_with_the_sdk(era: str) -> None:
    kernel = Kernel(era)
    for params in REQUESTS:
        past, usual = await kernel.both(params)
        assert past == usual, params


TEXT = t.TextContent(type="text", text="x \u00e4 \x00 \U0001f600")
ANSWERS: list[Any] = [
    t.CallToolResult(content=[]),
    t.CallToolResult(content=[TEXT, TEXT], is_error=True),
    t.CallToolResult(content=[TEXT], structured_content={"a": [None, {"b": None}], "c": 10**30, "d": 0.1}),
    t.CallToolResult(content=[TEXT], structured_content={}),
    t.CallToolResult(content=[TEXT], structured_content=[1]),
    t.CallToolResult(content=[TEXT], _meta={"lg/request": "r", "lg/untrusted": True}),
    t.CallToolResult(content=[TEXT], _meta={"lg/request": None}),
    t.CallToolResult(content=[TEXT], _meta={"com.example/x": {"y": None}, "z": None}),
    t.CallToolResult(content=[TEXT], _meta={t.SERVER_INFO_META_KEY: {"name": "n", "version": "1"}}),
    t.CallToolResult(content=[TEXT], _meta={}),
    t.CallToolResult(content=[t.TextContent(type="text", text="x", _meta={"a": 1})]),
    t.CallToolResult(content=[t.TextContent(type="text", text="x", annotations=t.Annotations(priority=1.0))]),
    t.CallToolResult(content=[t.ImageContent(type="image", data="eA==", mime_type="image/png")]),
    t.CallToolResult(content=[t.ResourceLink(type="resource_link", uri="a://b", name="c")]),
    t.InputRequiredResult(request_state="s", input_requests={}),
    {"resultType": "task", "taskId": "1", "_meta": {}},
]


@ERAS
async def test_an_answer_is_written_as_the_sdk_writes_it(era: str) -> None:
    kernel = Kernel(era)
    for answer in ANSWERS:
        kernel.answer = answer
        past, usual = await kernel.both({"name": "a"})
        assert past == usual, answer


async def test_a_call_whose_answer_the_sdk_has_to_write_is_made_once() -> None:
    kernel = Kernel("2026-07-28")
    kernel.answer = ANSWERS[-4]
    (_, seen), _ = await kernel.both({"name": "a"})
    assert len(seen) == 1


def test_pages_of_callers_are_apart_and_go_when_something_changes() -> None:
    source: list[tuple[object, ...]] = [(object(),)]
    runner = Kernel("2025-11-25").plain
    pages = CallersPages(lambda: source[0])

    def place(whose: str, cursor: object = None, **meta: Any) -> Any:
        message = {"method": "tools/list", "params": {"cursor": cursor, "_meta": {"progressToken": whose, **meta}}}
        return pages.place(runner, Request(), message)

    assert place("a", other="b") is None  # the SDK's handler looks at what else a request says
    assert place("a", cursor=[1]) is None
    first = place("a")
    ListPages.keep(first.pages, first.key, b"[]")
    assert place("a").page == b"[]"
    assert place("b").page is None
    assert place("a", cursor="2").page is None
    source[0] = (object(),)
    ListPages.keep(first.pages, first.key, b"[]")  # was made from the old one
    assert place("a").page is None


def test_kept_pages_take_a_bounded_amount_of_memory() -> None:
    pages = ListPages(tuple)
    page = b"x" * (PAGES_BYTES // 4)
    for key in range(9):
        ListPages.keep(pages.now(), key, page)
    assert list(pages.now() or ()) == [5, 6, 7, 8]
