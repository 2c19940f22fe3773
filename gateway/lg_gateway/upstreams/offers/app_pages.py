"""Reads the pages of a server's apps (`ui://…`), so that a pin covers them: an app acts in its user's client.

A tool names its page in `_meta.ui.resourceUri`. The digest of the page stands in the tool's definition from here on,
under a key that no server can set. A page that reads differently each time is pinned as one that does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_gateway.catalog.definitions import PAGE, page_of_tool
from lg_gateway.store.canonical_json import digest
from lg_gateway.upstreams.replies import RelayedResult
from lg_policy.errors import Conflict

log = logging.getLogger(__name__)

PAGES = 50
"""Pages of one server that are read; those of other tools are not covered."""
PAGE_S = 10.0
"""How long a server may take to return one."""
CHANGES, UNREADABLE = "differs at each read", "cannot be read"


class AppPages:
    """The pages of one server's apps. `changed` is called when one reads otherwise than when its tool was listed."""

    def __init__(self, server: str, changed: Callable[[], None]) -> None:
        self._server = server
        self._changed = changed
        self._digests: dict[str, str] = {}

    async def marked(self, client: Client, tools: Sequence[t.Tool]) -> list[t.Tool]:
        """Return tools with the digests of their pages, which are read for that."""
        wanted = list(dict.fromkeys(uri for tool in tools if (uri := page_of_tool(tool)) is not None))
        self._digests = {uri: await _digest(client, self._server, uri) for uri in wanted[:PAGES]}
        return [_marked(tool, self._digests) for tool in tools]

    def check(self, uri: str, read: RelayedResult) -> None:
        """Refuse a page that is not the one of which the pin of its tool speaks. Raises `Conflict`."""
        before = self._digests.get(uri)
        if before in (None, CHANGES, UNREADABLE):
            return
        if page_digest([block.resource for block in read.content if isinstance(block, t.EmbeddedResource)]) != before:
            self._changed()
            raise Conflict(
                f"the page of an app of server {self._server} has changed since its tool was listed",
                hint=f"look at it with `lg-gateway pins diff {self._server}`, and accept it there",
            )


def page_digest(contents: Sequence[Any]) -> str:
    """Return the digest of what a page consists of, with what it asks of the client."""
    shown = [part.model_dump(mode="json", by_alias=True, exclude_none=True) for part in contents]
    return digest([{key: value for key, value in part.items() if key != "uri"} for part in shown])


async def _digest(client: Client, server: str, uri: str) -> str:
    """Read a page twice, to know whether it stays the same."""
    seen: list[str] = []
    for _ in range(2):
        request = t.ReadResourceRequest(params=t.ReadResourceRequestParams(uri=uri))
        try:
            answer: Any = await client.session.send_request(
                request, t.ReadResourceResult, request_read_timeout_seconds=PAGE_S
            )
        except (MCPError, ValidationError) as error:
            log.warning("%s: the page %.200s of an app cannot be read: %s", server, uri, error)
            return UNREADABLE
        seen.append(page_digest(answer.contents))
    return seen[0] if seen[0] == seen[1] else CHANGES


def _marked(tool: t.Tool, digests: Mapping[str, str]) -> t.Tool:
    """Return a tool with the digest of its page, and without one that the server wrote there."""
    found = digests.get(page_of_tool(tool) or "")
    if found is None and PAGE not in (tool.meta or {}):
        return tool
    kept = {key: value for key, value in (tool.meta or {}).items() if key != PAGE}
    return tool.model_copy(update={"meta": kept | ({PAGE: found} if found is not None else {})})
