"""`/v1/audit`, `/v1/servers`, `/v1/tools`, `/v1/pins`, `/v1/rules`, `/v1/policy`: the ledger, servers and decisions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse
from starlette.routing import Route

from lg_console.login.guard import Visitor
from lg_console.sources.ledger import AuditSource
from lg_console.sources.servers import ServersSource
from lg_console.web.answers import HEADERS, as_json, endpoint, fields_of, text_of
from lg_console.web.console import Console
from lg_console.web.filters import VALUE, wanted_of
from lg_policy.errors import InvalidArguments, NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response


def gateway_api(console: Console) -> list[Route]:
    """Return the routes."""
    found: list[Route] = []
    if console.sources.audit is not None:
        found += _audit(console, console.sources.audit)
    if console.sources.servers is not None:
        found += _servers(console, console.sources.servers)
        found += _decisions(console, console.sources.servers)
    return found


def _audit(console: Console, audit: AuditSource) -> list[Route]:
    async def calls(request: Request, _visitor: Visitor) -> Response:
        page = await audit.calls(wanted_of(request))
        return as_json({"calls": [asdict(call) for call in page.calls], "older": page.older})

    async def chain(_request: Request, _visitor: Visitor) -> Response:
        return as_json(asdict(await audit.chain()))

    async def call(request: Request, _visitor: Visitor) -> Response:
        found = await audit.call(request.path_params["id"])
        if found is None:
            raise NotFound("there is no such call or record")
        return as_json(asdict(found))

    async def export(request: Request, _visitor: Visitor) -> Response:
        lines = audit.export(wanted_of(request))
        first = await anext(lines, "")  # a refusal is one while nothing was sent

        async def text() -> AsyncIterator[str]:
            yield f"{first}\n" if first else ""
            async for line in lines:
                yield f"{line}\n"

        headers = HEADERS | {"content-disposition": 'attachment; filename="lg-audit.jsonl"'}
        return StreamingResponse(text(), media_type="application/jsonl", headers=headers)

    guard = console.guard
    return [
        Route("/v1/audit", endpoint(guard, calls), methods=["GET"]),
        Route("/v1/audit/chain", endpoint(guard, chain), methods=["GET"]),
        Route("/v1/audit/export", endpoint(guard, export), methods=["GET"]),
        Route("/v1/audit/{id}", endpoint(guard, call), methods=["GET"]),
    ]


def _servers(console: Console, servers: ServersSource) -> list[Route]:
    async def listed(_request: Request, _visitor: Visitor) -> Response:
        return as_json({"servers": [asdict(server) for server in await servers.servers()]})

    async def one(request: Request, _visitor: Visitor) -> Response:
        found = await servers.server(request.path_params["name"])
        if found is None:
            raise NotFound("there is no such server")
        return as_json(asdict(found))

    async def retry(request: Request, visitor: Visitor) -> Response:
        fields = await fields_of(request)
        await servers.retry(visitor.person.at_gateway, text_of(fields, "server", VALUE))
        return as_json({})

    guard = console.guard
    return [
        Route("/v1/servers", endpoint(guard, listed), methods=["GET"]),
        Route("/v1/servers/retry", endpoint(guard, retry), methods=["POST"]),
        Route("/v1/servers/{name}", endpoint(guard, one), methods=["GET"]),
    ]


def _decisions(console: Console, servers: ServersSource) -> list[Route]:
    async def tools(request: Request, _visitor: Visitor) -> Response:
        identity = request.query_params.get("as", "")[:VALUE] or (await servers.identities())[0]
        found = await servers.tools(identity)
        return as_json({"identity": identity, "tools": [asdict(tool) for tool in found]})

    async def pins(_request: Request, _visitor: Visitor) -> Response:
        return as_json({"pins": [asdict(pin) for pin in await servers.pins()]})

    async def accept(request: Request, visitor: Visitor) -> Response:
        fields = await fields_of(request)
        named = [text_of(fields, name) for name in ("server", "tool", "digest")]
        await servers.accept(visitor.person.at_gateway, *named)
        return as_json({})

    async def rules(_request: Request, _visitor: Visitor) -> Response:
        return as_json({"rules": [asdict(rule) for rule in await servers.rules()]})

    async def explain(request: Request, _visitor: Visitor) -> Response:
        fields = await fields_of(request)
        arguments = fields.get("arguments", {})
        if not isinstance(arguments, dict):
            raise InvalidArguments("arguments is not an object")
        identity = text_of(fields, "as", VALUE) or (await servers.identities())[0]
        return as_json(dict(await servers.explain(text_of(fields, "tool"), arguments, identity)))

    guard = console.guard
    return [
        Route("/v1/tools", endpoint(guard, tools), methods=["GET"]),
        Route("/v1/pins", endpoint(guard, pins), methods=["GET"]),
        Route("/v1/pins/accept", endpoint(guard, accept), methods=["POST"]),
        Route("/v1/rules", endpoint(guard, rules), methods=["GET"]),
        Route("/v1/policy/explain", endpoint(guard, explain), methods=["POST"]),
    ]
