"""The routes of the pages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.routing import Route

from lg_console.login.guard import Visitor
from lg_console.pages.approvals import DECIDED, approval_page, approvals_page
from lg_console.pages.audit import audit_page, call_page
from lg_console.pages.run_routes import run_routes
from lg_console.pages.servers import server_page, servers_page
from lg_console.pages.tools import Explained, ToolsWanted, pins_page, policy_page, tools_page
from lg_console.sources.ledger import AuditSource
from lg_console.sources.questions import ApprovalsSource
from lg_console.sources.servers import ServersSource
from lg_console.web.answers import endpoint, page
from lg_console.web.console import Console
from lg_console.web.filters import VALUE, wanted_of
from lg_policy.errors import InvalidArguments, LgError, NotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ARGUMENTS = 4_000


def page_routes(console: Console) -> list[Route]:
    """Return the routes of all sections that there are."""
    found: list[Route] = []
    if console.sources.runs is not None:
        found += run_routes(console, console.sources.runs)
    if console.sources.approvals is not None:
        found += _approvals(console, console.sources.approvals)
    if console.sources.audit is not None:
        found += _audit(console, console.sources.audit)
    if console.sources.servers is not None:
        found += _servers(console, console.sources.servers)
        found += _decisions(console, console.sources.servers)
    return found


def _approvals(console: Console, approvals: ApprovalsSource) -> list[Route]:
    async def listed(_request: Request, visitor: Visitor) -> Response:
        mark = await approvals.mark()
        waiting, decided = await approvals.waiting(), await approvals.recent(DECIDED)
        return page(approvals_page(console, visitor.person, waiting, decided, mark))

    async def one(request: Request, visitor: Visitor) -> Response:
        mark = await approvals.mark()
        question = await approvals.question(request.path_params["id"])
        if question is None:
            raise NotFound("there is no such question", hint="it may have been removed by age")
        return page(approval_page(console, visitor.person, question, mark))

    return [
        Route("/approvals", endpoint(console.guard, listed), methods=["GET"]),
        Route("/approvals/{id}", endpoint(console.guard, one), methods=["GET"]),
    ]


def _audit(console: Console, audit: AuditSource) -> list[Route]:
    async def calls(request: Request, visitor: Visitor) -> Response:
        wanted = wanted_of(request)
        return page(audit_page(console, visitor.person.at_gateway, wanted, await audit.calls(wanted)))

    async def call(request: Request, visitor: Visitor) -> Response:
        found = await audit.call(request.path_params["id"])
        if found is None:
            raise NotFound("there is no such call or record", hint="it may have been sealed and removed")
        return page(call_page(console, visitor.person.at_gateway, found))

    return [
        Route("/audit", endpoint(console.guard, calls), methods=["GET"]),
        Route("/audit/{id}", endpoint(console.guard, call), methods=["GET"]),
    ]


def _servers(console: Console, servers: ServersSource) -> list[Route]:
    async def listed(_request: Request, visitor: Visitor) -> Response:
        mark = await servers.mark()
        return page(servers_page(console, visitor.person.at_gateway, await servers.servers(), mark))

    async def one(request: Request, visitor: Visitor) -> Response:
        mark, found = await servers.mark(), await servers.server(request.path_params["name"])
        if found is None:
            raise NotFound("there is no such server", hint="the settings may have changed")
        return page(server_page(console, visitor.person.at_gateway, found, mark))

    return [
        Route("/servers", endpoint(console.guard, listed), methods=["GET"]),
        Route("/servers/{name}", endpoint(console.guard, one), methods=["GET"]),
    ]


def _decisions(console: Console, servers: ServersSource) -> list[Route]:
    async def tools(request: Request, visitor: Visitor) -> Response:
        known = await servers.identities()
        identity = request.query_params.get("as", "")[:VALUE] or known[0]
        first = request.query_params.get("first", "")
        wanted = ToolsWanted(
            identity=identity,
            text=request.query_params.get("text", "").strip()[:VALUE],
            first=int(first) if first.isascii() and first.isdecimal() and len(first) < 10 else 0,
        )
        return page(tools_page(console, visitor.person.at_gateway, wanted, known, await servers.tools(identity)))

    async def pins(_request: Request, visitor: Visitor) -> Response:
        return page(pins_page(console, visitor.person.at_gateway, await servers.pins()))

    async def policy(request: Request, visitor: Visitor) -> Response:
        asked = await _explained(servers, request)
        return page(policy_page(console, visitor.person.at_gateway, await servers.rules(), asked))

    return [
        Route("/tools", endpoint(console.guard, tools), methods=["GET"]),
        Route("/pins", endpoint(console.guard, pins), methods=["GET"]),
        Route("/policy", endpoint(console.guard, policy), methods=["GET"]),
    ]


async def _explained(servers: ServersSource, request: Request) -> Explained:
    """Return the answer to what the address asks about; a question that cannot be answered says why."""
    tool = request.query_params.get("tool", "").strip()[:VALUE]
    text = request.query_params.get("args", "").strip()[:ARGUMENTS] or "{}"
    identity = request.query_params.get("as", "").strip()[:VALUE] or (await servers.identities())[0]
    asked = Explained(tool=tool, arguments=text, identity=identity)
    if not tool:
        return asked
    try:
        arguments = json.loads(text)
        if not isinstance(arguments, dict):
            raise InvalidArguments("the arguments are no JSON object")
        return replace(asked, found=await servers.explain(tool, arguments, identity))
    except LgError as error:
        return replace(asked, problem=error.message)
    except (ValueError, RecursionError) as error:
        return replace(asked, problem=f"the arguments are not JSON: {error}")
