"""What a server lists, within bounds; and what it answers, checked against what it listed.

The SDK checks answers itself, with Python's expressions and without an end: a server that chooses both the schema and
the answer could make it work for ever. Its check is replaced by ours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import mcp_types as t
from mcp.client import Client

from lg_gateway.catalog.catalog import TOOLS_PER_SERVER
from lg_gateway.catalog.schema_check import SchemaCheck, UnusableSchema
from lg_policy.errors import Internal
from lg_policy.rules.bounded_schema import TooMuchWork

log = logging.getLogger(__name__)

PAGES = 100
DEFINITION_BYTES = 200_000
"""Of one tool; a larger one is left out."""


async def list_tools(client: Client, server: str) -> list[t.Tool]:
    """Return a server's tools from all pages; what is beyond the bounds is left out, and the log says so."""
    tools: list[t.Tool] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += _small(page.tools, server)
        cursor = page.next_cursor
        if cursor is None and len(tools) <= TOOLS_PER_SERVER:
            return tools
        if len(tools) > TOOLS_PER_SERVER:
            log.warning("%s lists more than %d tools; only those are offered", server, TOOLS_PER_SERVER)
            return tools[:TOOLS_PER_SERVER]
    log.warning("%s has more than %d pages of tools; the rest is left out", server, PAGES)
    return tools


def _small(tools: Iterable[t.Tool], server: str) -> list[t.Tool]:
    kept = []
    for tool in tools:
        size = len(tool.__pydantic_serializer__.to_json(tool))
        if size <= DEFINITION_BYTES:
            kept.append(tool)
        else:
            log.warning("%s: a tool is left out: its definition has %d bytes (%.40r)", server, size, tool.name)
    return kept


class AnswerCheck:
    """Checks the structured content of one server's answers."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._checks: dict[str, SchemaCheck] = {}

    def learn(self, tools: Iterable[t.Tool]) -> None:
        """Take over the schemas of a list."""
        known = self._checks
        self._checks = {}
        for tool in tools:
            if tool.output_schema is not None:
                before = known.get(tool.name)
                same = before is not None and before.schema == tool.output_schema
                self._checks[tool.name] = before if before is not None and same else SchemaCheck(tool.output_schema)

    async def check(self, name: str, result: t.CallToolResult) -> None:
        """Raise `Internal` for an answer that does not fit the schema which its tool declares."""
        check = self._checks.get(name)
        if check is None or result.is_error:
            return
        try:
            missing = result.structured_content is None and "structured_content" not in result.model_fields_set
            why = "it has none" if missing else await check.error(result.structured_content)
        except UnusableSchema as error:
            why = error
        except TooMuchWork:
            why = "checking it takes too long"
        if why is not None:
            text = str(getattr(why, "message", why))[:300]
            log.warning("%s: structured content of %s that does not fit its own schema: %s", self._server, name, text)
            raise Internal(f"server {self._server} sent an answer that does not fit the protocol or its own schema")
