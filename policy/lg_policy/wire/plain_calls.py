"""Answers a plain tool call without the SDK's models of requests and answers.

Those check a request field by field, copy it, and check and copy its answer again. A plain call has only fields that
they let pass, and a plain answer only such that they would write as they are: both are told apart here by a few looks.
Everything else takes the SDK's way. The bytes are the same on both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_policy.wire.sdk_names import has_all

CALL, LIST = "tools/call", "tools/list"
PAGES_BYTES = 8_000_000
"""Of all pages of lists that are kept."""
_PARAMS = {"name", "arguments", "_meta"}
_ENVELOPE = {t.PROTOCOL_VERSION_META_KEY, t.CLIENT_INFO_META_KEY, t.CLIENT_CAPABILITIES_META_KEY}
_PROTOCOLS = ("io.modelcontextprotocol/", "modelcontextprotocol.io/")
_OURS = "lg/"

Context = ServerRequestContext[Any, Any]
Answer = t.CallToolResult | t.InputRequiredResult | dict[str, Any]
"""What handlers of calls return; the object is a result of an extension."""
ListedFrom = Callable[[], tuple[object, ...]]


@dataclass(frozen=True, kw_only=True)
class PlainHandlers:
    """What a server has for plain requests. `call` does what its handler of calls does; `whose` says who is calling."""

    call: Callable[[Context, Mapping[str, Any]], Awaitable[Answer]]
    whose: Callable[[Context], str]


class PlainServer(Server[Any]):
    """A server that may have such handlers. It has them only if its middleware does nothing to plain calls."""

    plain: PlainHandlers | None = None

    @cached_property
    def stamp(self) -> dict[str, Any]:
        """What the server says of itself in each answer. Not to be changed: the SDK makes a copy of it each time."""
        return self.server_info_stamp


answered_before: ContextVar[Answer | None] = ContextVar("answered before", default=None)
"""The answer of the request that is handled while this is set: its handler is to return it, and do nothing else."""


async def answer_of(runner: ServerRunner[Any], dctx: Any, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Do what `runner.on_request` does."""
    server, version = runner.server, runner.connection.protocol_version
    plain = _handlers(runner)
    if (
        plain is None
        or not isinstance(server, PlainServer)
        or method != CALL
        or not _is_plain(params)
        or not runner.connection.initialize_accepted
    ):
        return await runner.on_request(dctx, method, params)
    answer = await plain.call(context_of(runner, dctx, method, params), params)
    made = _written(answer, server.stamp if version in MODERN_PROTOCOL_VERSIONS else None)
    if made is not None:
        return made
    mark = answered_before.set(answer)
    try:
        return await runner.on_request(dctx, method, params)
    finally:
        answered_before.reset(mark)


def _handlers(runner: ServerRunner[Any]) -> PlainHandlers | None:
    server = runner.server
    return server.plain if isinstance(server, PlainServer) and has_all(runner, ("_make_context",)) else None


def context_of(runner: ServerRunner[Any], dctx: Any, method: str, params: Mapping[str, Any]) -> Context:
    """Return the context of a request as its handler gets it."""
    return runner._make_context(dctx, method, params, params.get("_meta"), runner.connection.protocol_version)


def _is_plain(params: Mapping[str, Any]) -> bool:
    """Return whether the SDK would take the parameters of a call as they are."""
    name, arguments, meta = params.get("name"), params.get("arguments", {}), params.get("_meta", {})
    if not params.keys() <= _PARAMS or not isinstance(name, str) or not name.isascii():
        return False
    if not isinstance(arguments, dict) or not all(map(str.isascii, arguments)):
        return False
    token = meta.get("progressToken", "")
    if not isinstance(token, str | int) or isinstance(token, bool):
        return False
    return all(key in _ENVELOPE or (key.isascii() and not key.startswith(_PROTOCOLS)) for key in meta)


def _written(answer: Answer, stamp: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a plain answer as the SDK would write it, `None` for any other. `stamp`: of a 2026 server."""
    if not isinstance(answer, t.CallToolResult) or answer.result_type != "complete":
        return None
    structured, meta = answer.structured_content, answer.meta or {}
    if not (structured is None or isinstance(structured, dict)):
        return None
    made: dict[str, Any] = {}
    if answer.meta is not None:
        if not all(key.startswith(_OURS) and value is not None for key, value in meta.items()):
            return None
        made["_meta"] = meta
    content = made["content"] = []
    for block in answer.content:
        if type(block) is not t.TextContent or block.annotations is not None or block.meta is not None:
            return None
        content.append({"text": block.text, "type": "text"})
    made["isError"] = bool(answer.is_error)
    if stamp is not None:
        made["resultType"] = "complete"
    if structured is not None:
        made["structuredContent"] = structured
    if stamp is not None:
        made["_meta"] = {**meta, t.SERVER_INFO_META_KEY: stamp}
    return made


class ListPages:
    """Pages of lists of tools as they were sent, by who asked for them and where the page begins.

    `listed_from` returns what the lists are made from: a page is made once while those are the same objects.
    """

    def __init__(self, listed_from: ListedFrom | None) -> None:
        self._listed_from = listed_from
        self._from: tuple[object, ...] = ()
        self._pages: dict[object, bytes] = {}

    def now(self) -> dict[object, bytes] | None:
        """Return the pages that still hold. `keep` takes them to know whether they do so then."""
        if self._listed_from is None:
            return None
        now = self._listed_from()
        if len(now) != len(self._from) or any(a is not b for a, b in zip(now, self._from, strict=True)):
            self._pages, self._from = {}, now
        return self._pages

    @staticmethod
    def keep(pages: dict[object, bytes] | None, key: object, page: bytes) -> None:
        """Keep a page that was made since `now` returned `pages`: if lists have changed, nobody has those any more."""
        if pages is None:
            return
        pages[key] = page
        size = sum(map(len, pages.values()))
        while size > PAGES_BYTES:
            size -= len(pages.pop(next(iter(pages))))


@dataclass(frozen=True, kw_only=True)
class KeptPage:
    """Where a page is kept."""

    pages: dict[object, bytes]
    key: object

    @property
    def page(self) -> bytes | None:
        """The page, `None` if nobody has asked for it yet."""
        return self.pages.get(self.key)


class CallersPages:
    """The pages of the lists of a server that several callers use: each sees what it may."""

    def __init__(self, listed_from: ListedFrom | None) -> None:
        self._pages = ListPages(listed_from)

    def place(self, runner: ServerRunner[Any], dctx: Any, message: Mapping[str, Any]) -> KeptPage | None:
        """Return where the answer to a request is kept; `None` for one that must be answered anew."""
        plain = _handlers(runner)
        if plain is None or message["method"] != LIST or not runner.connection.initialize_accepted:
            return None
        params, version = message["params"], runner.connection.protocol_version
        cursor, pages = params.get("cursor"), self._pages.now()
        modern = version in MODERN_PROTOCOL_VERSIONS
        if pages is None or not (cursor is None or isinstance(cursor, str)):
            return None
        if not says_nothing_else(params.get("_meta", {}), modern=modern):
            return None
        return KeptPage(pages=pages, key=(plain.whose(context_of(runner, dctx, LIST, params)), version, cursor))


def says_nothing_else(meta: Mapping[str, Any], *, modern: bool) -> bool:
    """Return whether a request's `_meta` has nothing but what the SDK has checked before, and a progress token."""
    rest = {key: value for key, value in meta.items() if not modern or key not in _ENVELOPE}
    token = rest.pop("progressToken", "")
    return not rest and isinstance(token, str | int) and not isinstance(token, bool)
