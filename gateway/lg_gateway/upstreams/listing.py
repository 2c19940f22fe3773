"""Reads a server's lists, within limits, and checks its answers against its tools' schemas.

The SDK's own check of answers uses Python's regular expressions and has no time limit. A server chooses both the schema
and the answer, so it could keep that check busy for ever. This module replaces it. An answer that does not fit loses
its structured part and keeps its text: the call has taken effect, and dropping the answer would hide that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_gateway.catalog.offer import (
    INSTRUCTIONS_CHARACTERS,
    PROMPTS_PER_SERVER,
    RESOURCES_PER_SERVER,
    TEMPLATES_PER_SERVER,
    TOOLS_PER_SERVER,
    Offer,
)
from lg_gateway.catalog.offers import usable
from lg_gateway.catalog.schema_check import SchemaCheck, UnusableSchema
from lg_gateway.upstreams.offers.server_tasks import has_tasks
from lg_gateway.upstreams.replies import NAME_CHARACTERS, RelayedResult, Reply, current_reply
from lg_policy.errors import Internal
from lg_policy.limits import cut_at_word
from lg_policy.rules.bounded_schema import TooMuchWork

log = logging.getLogger(__name__)

PAGES = 100
NAMED = 20
"""Tools left out that a log line names."""


async def list_tools(client: Client, server: str) -> tuple[list[t.Tool], dict[str, str]]:
    """Return the tools on all pages of a server's list, and what is wrong with the others, by name."""
    tools: list[t.Tool] = []
    left_out: dict[str, str] = {}
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES):
        reply = Reply()
        token = current_reply.set(reply)
        try:
            await client.session.list_tools(params=t.PaginatedRequestParams(cursor=cursor))
        finally:
            current_reply.reset(token)
        tools += reply.tools or []
        left_out |= dict(list(reply.left_out.items())[: TOOLS_PER_SERVER - len(left_out)])
        cursor = reply.next_cursor
        if len(tools) > TOOLS_PER_SERVER:
            log.warning("%s lists more than %d tools; the rest is left out", server, TOOLS_PER_SERVER)
            return _with_log(server, tools[:TOOLS_PER_SERVER], left_out)
        if cursor is None or cursor in seen:
            return _with_log(server, tools, left_out)
        seen.add(cursor)
    log.warning("%s has more than %d pages of tools; the rest is left out", server, PAGES)
    return _with_log(server, tools, left_out)


_REQUESTS: dict[str, tuple[Any, type[t.Result], int]] = {
    "resources/list": (t.ListResourcesRequest, t.ListResourcesResult, RESOURCES_PER_SERVER),
    "resources/templates/list": (t.ListResourceTemplatesRequest, t.ListResourceTemplatesResult, TEMPLATES_PER_SERVER),
    "prompts/list": (t.ListPromptsRequest, t.ListPromptsResult, PROMPTS_PER_SERVER),
}


async def read_offer(client: Client, server: str) -> tuple[Offer, dict[str, str]]:
    """Return all that a server lists, and what is wrong with the tools that are left out.

    A server that cannot list its resources or prompts, though it says that it has some, has its tools all the same.
    """
    tools, left_out = await list_tools(client, server)
    said = client.server_capabilities
    resources = templates = prompts = []
    if said.resources is not None:
        resources = [item for item in await _items(client, server, "resources/list") if usable(item.uri)]
        templates = [
            item for item in await _items(client, server, "resources/templates/list") if usable(item.uri_template)
        ]
    if said.prompts is not None:
        prompts = [
            item for item in await _items(client, server, "prompts/list") if 0 < len(item.name) <= NAME_CHARACTERS
        ]
    instructions = client.session.instructions or ""
    offer = Offer(
        tools=tools,
        resources=resources,
        templates=templates,
        prompts=prompts,
        instructions=cut_at_word(instructions, INSTRUCTIONS_CHARACTERS),
        has_resources=said.resources is not None,
        has_prompts=said.prompts is not None,
        subscribes=said.resources is not None and said.resources.subscribe is True,
        completes=said.completions is not None,
        has_tasks=has_tasks(client),
    )
    return offer, left_out


async def _items(client: Client, server: str, method: str) -> list[Any]:
    """Return the items on all pages of a list, as many as are offered of one server."""
    try:
        return await _pages(client, server, method)
    except (MCPError, ValidationError) as error:
        log.warning("%s did not answer %s: %s", server, method, error)
        return []


async def _pages(client: Client, server: str, method: str) -> list[Any]:
    request, result, most = _REQUESTS[method]
    items: list[Any] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES):
        reply = Reply()
        token = current_reply.set(reply)
        try:
            await client.session.send_request(request(params=t.PaginatedRequestParams(cursor=cursor)), result)
        finally:
            current_reply.reset(token)
        items += reply.items or []
        for what, problem in list(reply.left_out.items())[:NAMED]:
            log.warning("%s: %s: %s", server, what, problem)
        cursor = reply.next_cursor
        if cursor is None or cursor in seen or len(items) > most:
            break
        seen.add(cursor)
    if len(items) > most or (cursor is not None and cursor not in seen):
        log.warning("%s: %s has more than %d items; the rest is left out", server, method, most)
    return items[:most]


def _with_log(server: str, tools: list[t.Tool], left_out: dict[str, str]) -> tuple[list[t.Tool], dict[str, str]]:
    """Log what is wrong with which tool, and return both."""
    for name, problem in list(left_out.items())[:NAMED]:
        log.warning("%s: tool %.80r: %s", server, name, problem)
    if len(left_out) > NAMED:
        log.warning("%s: %d more tools have unusable definitions", server, len(left_out) - NAMED)
    return tools, left_out


def _reason(why: Any) -> str:
    """Say what does not fit, without quoting the server: the gateway speaks here."""
    keyword, path = getattr(why, "validator", None), getattr(why, "absolute_path", ())
    if not isinstance(keyword, str):
        return "its schema cannot be used" if isinstance(why, UnusableSchema) else str(why)
    place = ".".join(str(step) for step in path)[:100]
    return f"{place!a} breaks {keyword[:40]!a}" if place else f"it breaks {keyword[:40]!a}"


class AnswerCheck:
    """Checks the structured content of one server's answers. `strict`: an answer that does not fit is an error."""

    def __init__(self, server: str, *, strict: bool = False) -> None:
        self._server = server
        self._strict = strict
        self._checks: dict[str, SchemaCheck] = {}

    def learn(self, tools: Iterable[t.Tool]) -> None:
        """Use the output schemas of a tool list."""
        known = self._checks
        self._checks = {}
        for tool in tools:
            if tool.output_schema is not None:
                before = known.get(tool.name)
                same = before is not None and before.schema == tool.output_schema
                self._checks[tool.name] = before if before is not None and same else SchemaCheck(tool.output_schema)

    async def checked(self, name: str, result: RelayedResult) -> RelayedResult:
        """Return an answer; if its structured part does not fit the tool's own schema, return it without that part.

        Raises `Internal` instead if the server is `strict`.
        """
        check = self._checks.get(name)
        if check is None or result.is_error:
            return result
        missing = result.structured_content is None
        try:
            why: Any = await check.error(result.structured_content)
        except UnusableSchema as error:
            why = error
        except TooMuchWork:
            why = "the check takes too long"
        if why is None:
            return result
        text = "there is none" if missing else _reason(why)
        log.warning("%s: the structured content of %s does not fit the tool's own schema: %s", self._server, name, text)
        if self._strict:
            raise Internal(
                f"server {self._server} sent an answer that does not fit the tool's own schema: {text}",
                hint="the call may have taken effect; check whether it did before repeating it",
            )
        return result.without_structure(f"the structured part does not fit the tool's schema: {text}")
